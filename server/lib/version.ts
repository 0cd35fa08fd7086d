// Owns the version that this server tells others; that of package.json.

export const VERSION = '0.1.0';
