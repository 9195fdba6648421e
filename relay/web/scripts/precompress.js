// Writes NAME.br and NAME.gz next to every file of the build that gets smaller by it. The relay embeds them and never
// compresses at run time.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

const brotli = promisify(brotliCompress);
const deflate = promisify(gzip);
const dist = fileURLToPath(new URL('../dist', import.meta.url));

/** Below this a response fits one packet anyway. */
const SMALLEST_BYTES = 1024;

async function compress(path) {
  const plain = await readFile(path);
  if (plain.length < SMALLEST_BYTES) return;
  const packed = {
    br: await brotli(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } }),
    gz: await deflate(plain, { level: constants.Z_BEST_COMPRESSION }),
  };
  for (const [suffix, bytes] of Object.entries(packed)) {
    if (bytes.length < plain.length) await writeFile(`${path}.${suffix}`, bytes);
  }
}

const entries = await readdir(dist, { recursive: true, withFileTypes: true });
const files = entries.filter((entry) => entry.isFile() && !/\.(br|gz)$/.test(entry.name));
await Promise.all(files.map((entry) => compress(join(entry.parentPath, entry.name))));
