// Owns one connection string made of another: the same database and the same options, another login.

/** `url` with `user` and `password` in place of what it says about them. */
export function urlAs(url: string, user: string, password: string): string {
  const made = new URL(url);
  // Where the query names them too, it wins.
  for (const name of ['user', 'password']) if (made.searchParams.has(name)) made.searchParams.delete(name);
  made.username = user;
  made.password = password;
  // A URL without a host (a socket folder in the query) cannot carry a user before it.
  if (made.username === '') {
    made.searchParams.set('user', user);
    made.searchParams.set('password', password);
  }
  return made.href;
}
