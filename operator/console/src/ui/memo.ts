import { Component, type FunctionComponent, h } from "preact";

/** A component that is drawn again only where one of its properties is another value: for lists of hundreds. */
export function memo<P extends object>(Part: FunctionComponent<P>): FunctionComponent<P> {
  class Kept extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const before = this.props as Record<string, unknown>;
      return Object.entries(next).some(([name, value]) => before[name] !== value);
    }

    override render() {
      return h(Part, this.props as P);
    }
  }
  return Kept as unknown as FunctionComponent<P>;
}
