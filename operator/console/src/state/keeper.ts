/** Keeps the reader at a filled form where the browser would lead them off it: it asks first. */

export interface Keeper {
  /** Whether leaving would lose something. */
  isKept: () => boolean;
  /** Takes the reader back to the form, and asks. */
  ask: () => void;
}

/** The form that is open and filled. */
let keeper: Keeper | undefined;
let isOver = false;

// Added while this module is loaded, which main.tsx sees to, and so before the router's own: the browser calls them in the order in which
// they were added.
addEventListener("popstate", (event) => {
  if (!keeper?.isKept()) return;
  event.stopImmediatePropagation();
  keeper.ask();
});
addEventListener("beforeunload", (event) => {
  if (!isOver && keeper?.isKept()) event.preventDefault();
});

/** The page is left, whatever is filled in: nobody is asked. */
export function letGo(): void {
  isOver = true;
}

/** Lets a form keep its reader. Returns how it lets them go. */
export function keep(form: Keeper): () => void {
  keeper = form;
  return () => {
    if (keeper === form) keeper = undefined;
  };
}
