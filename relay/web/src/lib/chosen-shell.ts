/** Opening a terminal with the shell that a person prefers, where the container has it. */
import type { ApiResult } from './api';
import type { ChosenShell } from './settings';

/** What the relay says where the container does not have the program. */
const NO_SUCH_PROGRAM = 'command_not_found';

/** Opens with the shell; where there is none such, or none is preferred, with what the relay finds best. */
export async function openWithShell<T>(
  shell: ChosenShell | null,
  open: (command: readonly string[] | null) => Promise<ApiResult<T>>,
): Promise<ApiResult<T>> {
  if (shell === null) return open(null);
  const result = await open([shell]);
  return !result.ok && result.error.slug === NO_SUCH_PROGRAM ? open(null) : result;
}
