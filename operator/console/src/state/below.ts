import { useLocation } from "preact-iso";
import { layerOf } from "../pure/layers.ts";

/** The address that was shown last without a dialog over it. */
let below = "";

export function noteShown(url: string, path: string): void {
  if (!layerOf(path).isDialog) below = url;
}

/** How a dialog leaves: back to the screen that it lies over, as that was; where the reader came by a link, to `otherwise`. */
export function useLeave(otherwise: string): () => void {
  const { path, route } = useLocation();
  return () => {
    const { pathname } = new URL(below || otherwise, location.origin);
    route(layerOf(pathname).subject === layerOf(path).subject ? below : otherwise);
  };
}
