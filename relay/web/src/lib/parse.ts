/**
 * Strict parsers for JSON from the relay. A parser returns a typed value or throws {@link ParseError}; fields that this
 * version does not know are ignored, because a newer relay may send more.
 */

/** JSON that does not have the promised shape. */
export class ParseError extends Error {
  override readonly name = 'ParseError';
}

/** Turns unknown JSON into a typed value; `path` says where it stands, for the error. */
export type Parser<T> = (value: unknown, path: string) => T;

/** What a parser makes. */
export type Parsed<P> = P extends Parser<infer T> ? T : never;

/** Parses a JSON text. */
export function parseJson<T>(text: string, parser: Parser<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ParseError('the text is not JSON');
  }
  return parser(value, '$');
}

export const string: Parser<string> = (value, path) =>
  typeof value === 'string' ? value : fail(path, 'a text', value);

export const boolean: Parser<boolean> = (value, path) =>
  typeof value === 'boolean' ? value : fail(path, 'true or false', value);

/** A whole number that is exact in a double. */
export const integer: Parser<number> = (value, path) =>
  Number.isSafeInteger(value) ? (value as number) : fail(path, 'a whole number', value);

/** A whole number from 0 on. */
export const count: Parser<number> = (value, path) => {
  const number = integer(value, path);
  return number >= 0 ? number : fail(path, 'a number from 0 on', value);
};

/** An RFC 3339 time, as milliseconds since the Unix epoch. */
export const time: Parser<number> = (value, path) => {
  const milliseconds = Date.parse(string(value, path));
  return Number.isNaN(milliseconds) ? fail(path, 'a time', value) : milliseconds;
};

/** Exactly one of these texts. */
export function oneOf<const T extends string>(...choices: readonly T[]): Parser<T> {
  return (value, path) => choices.find((choice) => choice === value) ?? fail(path, choices.join(' or '), value);
}

/** `null` or absent, or what the parser accepts. */
export function nullable<T>(parser: Parser<T>): Parser<T | null> {
  return (value, path) => (value === null || value === undefined ? null : parser(value, path));
}

export function array<T>(parser: Parser<T>): Parser<T[]> {
  return (value, path) =>
    Array.isArray(value) ? value.map((item, index) => parser(item, `${path}[${index}]`)) : fail(path, 'a list', value);
}

/** An object that has at least these fields. */
export function object<F extends Record<string, Parser<unknown>>>(fields: F): Parser<{ [K in keyof F]: Parsed<F[K]> }> {
  return (value, path) => {
    const record = asRecord(value, path);
    const parsed = Object.entries(fields).map(([name, parser]) => [name, parser(record[name], `${path}.${name}`)]);
    return Object.fromEntries(parsed) as { [K in keyof F]: Parsed<F[K]> };
  };
}

/** An object whose fields are not known in advance. */
export const record: Parser<Readonly<Record<string, unknown>>> = (value, path) => asRecord(value, path);

/** An object whose fields all are texts, and not known in advance. */
export const texts: Parser<Readonly<Record<string, string>>> = (value, path) => {
  const entries = Object.entries(asRecord(value, path));
  return Object.fromEntries(entries.map(([key, text]) => [key, string(text, `${path}.${key}`)]));
};

/** The text of a field that tells one kind of object from another. */
export function tag(value: unknown, field: string): string {
  return string(asRecord(value, '$')[field], `$.${field}`);
}

function asRecord(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail(path, 'an object', value);
  return value as Record<string, unknown>;
}

function fail(path: string, wanted: string, value: unknown): never {
  throw new ParseError(`${path} should be ${wanted}, not ${value === null ? 'null' : typeof value}`);
}
