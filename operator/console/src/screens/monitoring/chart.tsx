import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { ended, labelled, line, readable, ticks } from "../../pure/chart.ts";
import { FigureTable } from "../../ui/figures.tsx";

export interface Line {
  label: string;
  /** One for each moment; null where nothing is known. */
  values: (number | null)[];
}

/** A deploy, on the axis of time. */
export interface Deploy {
  id: string;
  /** When it was asked for, and when it was live: milliseconds since 1970. */
  begun: number;
  at: number;
  label: string;
}

interface Props {
  title: string;
  /** A value as it is read. */
  says: (value: number | null) => string;
  lines: Line[];
  /** Where each interval begins, in milliseconds since 1970. */
  moments: number[];
  until: number;
  deploys: Deploy[];
  /** The address of deploys that follow each other. */
  addressOf: (deploys: Deploy[]) => string;
  /** The interval that the reader looks at, in all charts; and who says so. */
  at: number | undefined;
  onAt: (index: number | undefined) => void;
}

const HEIGHT = 156;
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 12, 20, 22];
const DAY = 86_400_000;
const SHAPES = [
  "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
  "M-3-3h6v6h-6z",
  "M0-4l4 7h-8z",
  "M0-4l4 4-4 4-4-4z",
  "M0 4l4-7h-8z",
];
const MARKS_SHAPED = 40;
/** Pixels that a letter of a mark's label takes at most, and what is around them. */
const [LETTER, AROUND] = [9, 10];

/** Lines over time, with a mark at each deploy, and the same figures as a table. Lines differ by dashes and marks, too, not by colour alone. */
export function Chart(props: Props) {
  const { title, says, lines, moments, until, deploys, addressOf, at, onAt } = props;
  const [box, width] = useWidth();
  const begin = moments[0] ?? 0;
  const most = Math.max(0, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const steps = ticks(most);
  const x = (time: number) => LEFT + ((time - begin) / Math.max(until - begin, 1)) * (width - LEFT - RIGHT);
  const y = (value: number) => TOP + (1 - value / (steps.at(-1) as number)) * (HEIGHT - TOP - BOTTOM);
  // What is going on is less than it will be: it is a mark alone, to which no line falls.
  const whole = ended(moments, until);
  const hours = moments.map((moment, index) => timeOf(moment, until - begin) + (index < whole ? "" : ", so far"));
  const step = (moments[1] ?? until) - begin;
  // Of several days each is named where it begins.
  const days = moments.filter(
    (moment) => until - begin < 1.5 * DAY || step >= DAY || new Date(moment).getHours() === 0,
  );
  const marks = deploys
    .filter((deploy) => deploy.at >= begin && deploy.at <= until)
    .map((deploy) => ({ ...deploy, x: x(deploy.at) }));
  const look = (event: PointerEvent & { currentTarget: Element }) => {
    const { left } = event.currentTarget.getBoundingClientRect();
    const part = (event.clientX - left - LEFT) / (width - LEFT - RIGHT);
    onAt(Math.max(0, Math.min(Math.floor(part * moments.length), moments.length - 1)));
  };
  const isShown = at !== undefined && at < moments.length;
  return (
    <figure class="chart panel">
      <figcaption>
        <h3>{title}</h3>
        {legendOf(lines, says, at, isShown ? hours[at] : undefined)}
      </figcaption>
      <div class="plot" ref={box}>
        <svg
          width={width}
          height={HEIGHT}
          role="img"
          aria-label={`${title} over time: the table below has the same figures`}
          onPointerMove={look}
          onPointerLeave={() => onAt(undefined)}
        >
          {steps.map((step) => (
            <g key={step} class="step">
              <path d={`M${LEFT} ${y(step)}H${width - RIGHT}`} />
              <text x={LEFT - 6} y={y(step) + 4} text-anchor="end">
                {says(step)}
              </text>
            </g>
          ))}
          {readable(days.map(x), 56).map((index) => {
            const moment = days[index] as number;
            return (
              x(moment) < width - 20 && (
                <text key={moment} x={x(moment)} y={HEIGHT - 6} text-anchor="middle">
                  {timeOf(moment, until - begin, true)}
                </text>
              )
            );
          })}
          {marks.map((deploy) => (
            <path key={deploy.id} class="deploy" d={`M${deploy.x} ${TOP - 4}V${HEIGHT - BOTTOM}`} />
          ))}
          {lines.map((line, each) => curveOf(line, each, moments, whole, x, y, at))}
          {isShown && <path class="cursor" d={`M${x(moments[at] as number)} ${TOP}V${HEIGHT - BOTTOM}`} />}
        </svg>
        {labelled(marks, (of) => LETTER * nameOf(of).length + AROUND, width).map(({ marks: of, x: middle }) => (
          <a key={of[0]?.id} class="deploy small" style={{ left: `${middle}px` }} href={addressOf(of)}>
            <span class="hidden-label">{of.length > 1 ? "Deploys " : "Deploy "}</span>
            {nameOf(of)}
          </a>
        ))}
      </div>
      {tableOf(props, hours, marks)}
    </figure>
  );
}

/** What each line is, and its value where the reader looks. */
function legendOf(lines: Line[], says: Props["says"], at: number | undefined, hour: string | undefined) {
  return (
    <span class="legend small">
      {hour && <b>{hour}</b>}
      {lines.map(({ label, values }, each) => (
        <span key={label} class={`look-${each}`}>
          <svg width="22" height="10" viewBox="0 0 22 10" aria-hidden="true">
            <path d="M0 5h22" />
            {markOf(each, 11, 5)}
          </svg>
          {label} {hour && <b>{says(values[at as number] ?? null)}</b>}
        </span>
      ))}
    </span>
  );
}

/** The shape that marks values of a line. */
const markOf = (line: number, x: number, y: number, key?: number) => (
  <path key={key} class="mark" d={SHAPES[line % SHAPES.length]} transform={`translate(${x} ${y})`} />
);

type Scale = (value: number) => number;

/** Draws one line, with marks where it would not be seen or the reader looks. `whole`: how many of its intervals have ended. */
function curveOf(
  { label, values }: Line,
  each: number,
  moments: number[],
  whole: number,
  x: Scale,
  y: Scale,
  look?: number,
) {
  const points = values.map((value, index) => ({ at: moments[index] as number, value }));
  const isAlone = (index: number) => index >= whole || (values[index - 1] == null && values[index + 1] == null);
  return (
    <g key={label} class={`look-${each}`}>
      <path d={line(points.slice(0, whole), x, y)} />
      {points.map(
        ({ at, value }, index) =>
          value !== null &&
          (index === look || isAlone(index) || points.length <= MARKS_SHAPED) &&
          markOf(each, x(at), y(value), at),
      )}
    </g>
  );
}

/** The same figures as a table. */
function tableOf({ title, says, lines, moments, until, addressOf }: Props, hours: string[], marks: Deploy[]) {
  return (
    <details>
      <summary>
        Show as table<span class="hidden-label">: {title}</span>
      </summary>
      <FigureTable
        label={`${title} as a table`}
        head={["FROM", ...lines.map(({ label }) => label), "DEPLOYED"]}
        rows={moments.map((moment, index) => [
          hours[index],
          ...lines.map(({ values }) => says(values[index] ?? null)),
          marks
            .filter((deploy) => deploy.at >= moment && deploy.at < (moments[index + 1] ?? until + 1))
            .map((deploy) => (
              <a key={deploy.id} href={addressOf([deploy])}>
                {deploy.label}
              </a>
            )),
        ])}
      />
    </details>
  );
}

/** `#4`, and of several `#4–#6`. */
function nameOf(deploys: readonly Deploy[]): string {
  const [first, last] = [deploys[0], deploys.at(-1)];
  return deploys.length > 1 ? `${first?.label}–${last?.label}` : `${first?.label}`;
}

/** `14:05` of a day, `24 Nov 14:00` of a week, `24 Nov` of a month, and of a week where it `isShort`. Days are UTC's. */
function timeOf(moment: number, whole: number, isShort = false): string {
  const isMonth = whole > 8 * DAY;
  const isDay = whole < 1.5 * DAY;
  return new Date(moment)
    .toLocaleString("en-GB", {
      ...(!isDay && { day: "numeric", month: "short" }),
      ...((isDay || !(isMonth || isShort)) && { hour: "2-digit", minute: "2-digit" }),
      timeZone: isMonth ? "UTC" : undefined,
    })
    .replace(",", "");
}

/** How wide an element is, in pixels. */
function useWidth() {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(320);
  useLayoutEffect(() => {
    const look = () => setWidth(box.current?.clientWidth || 320);
    const observer = new ResizeObserver(look);
    if (box.current) observer.observe(box.current);
    look();
    return () => observer.disconnect();
  }, []);
  return [box, width] as const;
}
