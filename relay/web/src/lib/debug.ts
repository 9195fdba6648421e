/** Debug containers: where one is offered. */
import type { ApiError } from './api';

/** Whether a terminal that was refused might open in a debug container, or in one of another image. */
export function debugMayHelp({ slug }: Pick<ApiError, 'slug'>): boolean {
  return slug === 'no_shell' || slug === 'debug_image_failed' || slug === 'debug_not_allowed';
}
