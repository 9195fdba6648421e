/** Points in time for people, in their own zone and language. Pure. */

const DATE_TIME = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const DAY_TIME = new Intl.DateTimeFormat(undefined, {
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});

/** A whole point in time. */
export function formatMoment(time: number): string {
  return DATE_TIME.format(time);
}

/** As short as it is clear: today's times without the date. */
export function formatShortMoment(time: number, now: number): string {
  const isToday = new Date(time).toDateString() === new Date(now).toDateString();
  return (isToday ? TIME : DAY_TIME).format(time);
}
