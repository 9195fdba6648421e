/** How old something is, as `kubectl` writes it: two units while that says more than one does. Pure. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

/**
 * Formats an age given in milliseconds.
 *
 * Source: `k8s.io/apimachinery/pkg/util/duration.HumanDuration`
 */
export function formatAge(milliseconds: number): string {
  const age = Math.max(0, milliseconds);
  const whole = (unit: number) => Math.floor(age / unit);
  const rest = (unit: number, smaller: number) => Math.floor((age % unit) / smaller);
  const two = (large: number, name: string, small: number, smallName: string) => {
    const more = rest(large, small);
    return more === 0 ? `${whole(large)}${name}` : `${whole(large)}${name}${more}${smallName}`;
  };
  if (age < 2 * MINUTE) return `${whole(SECOND)}s`;
  if (age < 10 * MINUTE) return two(MINUTE, 'm', SECOND, 's');
  if (age < 3 * HOUR) return `${whole(MINUTE)}m`;
  if (age < 8 * HOUR) return two(HOUR, 'h', MINUTE, 'm');
  if (age < 2 * DAY) return `${whole(HOUR)}h`;
  if (age < 8 * DAY) return two(DAY, 'd', HOUR, 'h');
  if (age < 2 * YEAR) return `${whole(DAY)}d`;
  if (age < 8 * YEAR) return two(YEAR, 'y', DAY, 'd');
  return `${whole(YEAR)}y`;
}
