# The server alone, without the embedded PostgreSQL: DATABASE_URL is required. Debian, for the native
# packages need glibc. Run with --init, or with `init: true` in a compose file.
FROM node:26-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The optional packages are Node and PostgreSQL for machines without an image.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:26-bookworm-slim
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=4000 \
    ROWCAST_DATA_DIR=/var/lib/rowcast
WORKDIR /app
# The generated secret is kept here, unless ROWCAST_JWT_SECRET is set.
RUN install -d -o node -g node -m 0700 /var/lib/rowcast
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY server ./server
COPY scripts ./scripts
COPY client ./client
COPY sql ./sql
USER node
VOLUME /var/lib/rowcast
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/readyz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "server/main.ts"]
