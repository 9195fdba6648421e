import { describe, expect, it } from 'vitest';
import fixtures from '../fixtures/terminal-protocol.json';
import { closeKind, decodeServerMessage, encodeClientMessage, type ClientMessage } from '../src/lib/protocol';

interface Sample {
  name: string;
  text?: string;
  hex?: string;
}

interface ValidSample extends Sample {
  message: { type: string; bytes_hex?: string };
}

const server = fixtures.server as { valid: ValidSample[]; invalid: Sample[] };
const client = fixtures.client as { valid: ValidSample[] };

const fromHex = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));
const frameOf = (sample: Sample) => sample.text ?? fromHex(sample.hex ?? '').buffer;

/** The sample's message as the code has it: bytes as bytes. */
function messageOf(sample: ValidSample): object {
  const { bytes_hex: hex, ...rest } = sample.message;
  return hex === undefined ? rest : { ...rest, bytes: fromHex(hex) };
}

describe('the terminal protocol', () => {
  it.each(server.valid.map((sample) => [sample.name, sample] as const))('decodes from the relay: %s', (_, sample) => {
    expect(decodeServerMessage(frameOf(sample))).toEqual(messageOf(sample));
  });

  it.each(server.invalid.map((sample) => [sample.name, sample] as const))('refuses from the relay: %s', (_, sample) => {
    expect(() => decodeServerMessage(frameOf(sample))).toThrow(/should be|impossible|empty|beyond|not JSON/);
  });

  it.each(client.valid.map((sample) => [sample.name, sample] as const))('encodes to the relay: %s', (_, sample) => {
    const encoded = encodeClientMessage(messageOf(sample) as ClientMessage);
    if (typeof encoded === 'string') expect(JSON.parse(encoded)).toEqual(JSON.parse(sample.text ?? ''));
    else expect(Buffer.from(encoded).toString('hex')).toBe(sample.hex);
  });

  it('takes 4000 to 4099 as final and every other code as a reason to come back', () => {
    expect([4000, 4001, 4003, 4099].map(closeKind)).toEqual(Array(4).fill('final'));
    expect([1000, 1001, 1006, 1011, 4100, 4103, 4199].map(closeKind)).toEqual(Array(7).fill('reconnect'));
  });
});
