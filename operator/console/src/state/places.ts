/** How many streams all tabs of this browser hold: HTTP/1.1 gives it six connections to a host, and the calls need some of them. */

const PLACES = ["dynamiq-stream-1", "dynamiq-stream-2", "dynamiq-stream-3"];

/** Takes a place for a stream. Returns how to leave it; undefined where each is taken, or this browser has no locks. */
export async function takePlace(): Promise<(() => void) | undefined> {
  if (!navigator.locks) return undefined;
  for (const name of PLACES) {
    const leave = await take(name);
    if (leave) return leave;
  }
  return undefined;
}

function take(name: string): Promise<(() => void) | undefined> {
  return new Promise((resolve) => {
    const asked = navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      if (lock === null) {
        resolve(undefined);
        return;
      }
      return new Promise<void>((leave) => resolve(leave));
    });
    asked.catch(() => resolve(undefined));
  });
}
