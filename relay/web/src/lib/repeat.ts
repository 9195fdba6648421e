/** Work that is repeated while somebody can see its result. */

/**
 * Runs `work` now and then again and again, `pauseMs` after each end, but only while the page is visible. Returns what
 * stops it.
 */
export function repeatWhileVisible(work: () => Promise<void>, pauseMs: number): () => void {
  let timer: number | null = null;
  let isStopped = false;
  let isRunning = false;

  const run = async () => {
    if (isRunning) return;
    isRunning = true;
    await work();
    isRunning = false;
    if (!isStopped && !document.hidden) timer = window.setTimeout(() => void run(), pauseMs);
  };
  const onVisibility = () => {
    if (timer !== null) window.clearTimeout(timer);
    timer = null;
    if (!document.hidden) void run();
  };
  document.addEventListener('visibilitychange', onVisibility);
  void run();
  return () => {
    isStopped = true;
    if (timer !== null) window.clearTimeout(timer);
    document.removeEventListener('visibilitychange', onVisibility);
  };
}
