/** How people and service accounts are called. Pure. */

/** `boss (demo)` of a service account, whose username begins with the same letters as all others do; of everybody else the username. */
export function personOf(username: string): string {
  return username.replace(/^system:serviceaccount:([^:]+):([^:]+)$/, "$2 ($1)");
}
