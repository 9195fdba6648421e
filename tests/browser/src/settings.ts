/** What the suite is told by its environment. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** The programs under test, the browser and kubectl. */
export const programs = {
  relay: process.env['PODLATCH_RELAY_BIN'] ?? `${root}target/debug/podlatch-relay`,
  agent: process.env['PODLATCH_AGENT_BIN'] ?? `${root}target/debug/podlatch-agent`,
  devcluster: process.env['PODLATCH_DEVCLUSTER_BIN'] ?? `${root}target/debug/podlatch-devcluster`,
  chromium: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  kubectl: process.env['PODLATCH_KUBECTL'] ?? firstThatExists(`${root}target/tools/kubectl`) ?? 'kubectl',
};

/** A cluster to work in instead of the devcluster, as in the Rust suite; it must have the pods of `tests/fixtures.yaml`. */
export const givenKubeconfig = givenText(process.env['KUBECONFIG']);

/** Where pictures go. */
export const artifacts = fileURLToPath(new URL('../artifacts', import.meta.url));

function firstThatExists(...paths: string[]): string | undefined {
  return paths.find((path) => existsSync(path));
}

/** Empty means not given. */
function givenText(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : text;
}
