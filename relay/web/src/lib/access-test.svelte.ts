/** A connection test as a form runs it: what was found, or why there is nothing to show. */
import type { ApiResult } from './api';
import type { ConnectionTest } from './public-cluster';

export class AccessTest {
  found = $state.raw<ConnectionTest | null>(null);
  problem = $state.raw<string | null>(null);
  isRunning = $state(false);

  async run(testing: Promise<ApiResult<ConnectionTest>>): Promise<void> {
    this.isRunning = true;
    this.forget();
    const result = await testing;
    this.isRunning = false;
    if (result.ok) this.found = result.value;
    else this.problem = result.error.sentence;
  }

  /** What was found counts for other settings than those of now. */
  forget(): void {
    this.found = null;
    this.problem = null;
  }
}
