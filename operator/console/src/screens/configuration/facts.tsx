import type { ComponentChildren } from "preact";
import { exposureInWords, type Variable } from "../../pure/settings.ts";
import type { App, Configuration } from "../../pure/shapes.ts";
import { Columns } from "../../ui/columns.tsx";
import { ManagedBy } from "./managed-by.tsx";

export const ACCESS = {
  private: "private: callers send an Access Key",
  public: "public: anybody who reaches it may call it",
} as const;

/** The configuration, to read. */
export function ConfigurationFacts({ app, found }: { app: App; found: Configuration }) {
  return (
    <div class="inside column">
      {found.managed_by && <ManagedBy manager={found.managed_by} />}
      {found.problems.map((each) => (
        <div key={each.type} class="notice warn">
          <span class="break">
            <strong>{each.reason}</strong> {each.message}
          </span>
        </div>
      ))}
      <dl class="facts">
        <Fact label="Name">{found.name}</Fact>
        <Fact label="Description">{found.description}</Fact>
        <Fact label="Hostname">
          {found.hostname ?? (
            <>
              {app.hostname} <span class="small muted">made of its name</span>
            </>
          )}
        </Fact>
        <Fact label="Exposure">{exposureInWords(found.exposure)}</Fact>
        <Fact label="Access">{ACCESS[found.access_type]}</Fact>
      </dl>
      <h3>Variables</h3>
      {found.variables.length === 0 ? (
        <p class="small muted">None. Change the configuration to give the App's pods some.</p>
      ) : (
        <table class="lines">
          <Columns of={["NAME", "VALUE"]} />
          <tbody>
            {found.variables.map((variable) => (
              <tr key={variable.name}>
                <td class="mono break">{variable.name}</td>
                <td>
                  <VariableValue variable={variable} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}

function Fact({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <>
      <dt>{label}</dt>
      <dd>{children || <span class="muted">not set</span>}</dd>
    </>
  );
}

function VariableValue({ variable: { value, secret, config_map } }: { variable: Variable }) {
  const from = secret ?? config_map;
  if (!from) return value ? <span class="mono break value">{value}</span> : <span class="muted">empty</span>;
  return (
    <span class="break">
      <span class="tag">{secret ? "Secret" : "ConfigMap"}</span>{" "}
      <span class="mono">
        {from.name}/{from.key}
      </span>
    </span>
  );
}
