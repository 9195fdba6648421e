/** A cluster's labels as a person writes them: one `name=value` a line. The relay checks what a name and a value may be. Pure. */

export type Labels = Readonly<Record<string, string>>;

export type LabelsRead =
  { readonly ok: true; readonly labels: Labels } | { readonly ok: false; readonly sentence: string };

/** Labels as text, by name. */
export function writeLabels(labels: Labels): string {
  const lines = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  return lines.sort().join('\n');
}

/** The labels that a text means, or the first line that means none. */
export function readLabels(text: string): LabelsRead {
  const labels = new Map<string, string>();
  for (const line of lines(text)) {
    const at = line.indexOf('=');
    const name = line.slice(0, Math.max(0, at)).trim();
    if (name === '') return { ok: false, sentence: `“${line}” is no label. Write it as name=value.` };
    if (labels.has(name)) return { ok: false, sentence: `The label ${name} is there twice. Keep one.` };
    labels.set(name, line.slice(at + 1).trim());
  }
  return { ok: true, labels: Object.fromEntries(labels) };
}

/** Neither a name nor a value has a comma, so one may stand between two labels as well. */
function lines(text: string): string[] {
  const parts = text.split(/[\n,]/).map((part) => part.trim());
  return parts.filter((part) => part !== '');
}
