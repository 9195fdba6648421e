import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { eventually } from '../src/eventually';
import { CLUSTER } from '../src/stack';
import { setUp } from '../src/suite';

const suite = setUp();

/** Goes to the cluster's audit log by clicking, as people do. */
async function openAuditLog(page: Page): Promise<void> {
  await page.goto('/');
  await page.getByRole('link', { name: CLUSTER }).first().click();
  await page.getByRole('link', { name: 'Terminal', exact: true }).click();
  await page.getByRole('navigation', { name: 'Terminal' }).getByRole('link', { name: 'Audit Logs' }).click();
  await page.getByRole('heading', { name: 'Audit Logs' }).waitFor();
  await page.getByText('Live', { exact: true }).waitFor();
}

const row = (page: Page, text: string | RegExp) => page.getByRole('row').filter({ hasText: text });

/** A word that is in no other test's commands. */
const word = () => `canary-${Math.random().toString(36).slice(2, 10)}`;

async function download(page: Page, name: string): Promise<string> {
  const begun = page.waitForEvent('download');
  await page.getByRole('link', { name }).click();
  return readFile(await (await begun).path(), 'utf8');
}

describe('the audit log of a cluster', () => {
  it('shows by itself what is done in a terminal, with every fact about it', async () => {
    const { page } = await suite.person();
    await openAuditLog(page);
    const canary = word();
    const terminal = await (await suite.person()).openTerminal('default', 'bb');
    await terminal.run(`echo ${canary}`);
    await row(page, canary).first().waitFor();
    await row(page, canary).first().getByRole('button').click();
    const details = page.getByRole('dialog');
    for (const fact of ['command_executed', 'ada@example.com', 'bb', '127.0.0.1', 'Mozilla/5.0']) {
      await details.getByText(fact).first().waitFor();
    }
    await details.getByText('As JSON').click();
    const json = JSON.parse(await details.getByLabel('The event as JSON').innerText()) as Record<string, unknown>;
    expect(json).toMatchObject({ action: 'command_executed', namespace: 'default', pod: 'bb', container: 'main' });
    expect(json['command']).toContain(canary);
    await page.keyboard.press('Escape');
    await details.waitFor({ state: 'detached' });
  });

  it('finds by text, action and pod, and its address says so to somebody else', async () => {
    const { page } = await suite.person();
    const [first, second] = [word(), word()];
    const terminal = await (await suite.person()).openTerminal('default', 'bb');
    await terminal.run(`echo ${first}`);
    await terminal.run(`echo ${second}`);
    await openAuditLog(page);
    await row(page, first).first().waitFor();
    await page.getByRole('searchbox', { name: 'Search commands and details' }).fill(second);
    await row(page, first).first().waitFor({ state: 'detached' });
    await row(page, second).first().waitFor();
    await page.getByRole('combobox', { name: 'Action' }).selectOption('Command');
    await page.getByRole('searchbox', { name: /^Pod/ }).fill('bb');
    await eventually('the address says the filter', () => (page.url().includes('pod=bb') ? true : null));
    const other = await suite.person();
    await other.page.goto(page.url());
    await row(other.page, second).first().waitFor();
    expect(await row(other.page, first).count()).toBe(0);
    await other.page.getByRole('searchbox', { name: /^Pod/ }).fill('no-such-pod');
    await other.page.getByRole('heading', { name: 'No event matches the filter' }).waitFor();
    await other.page.getByRole('button', { name: 'Clear filters' }).click();
    await row(other.page, first).first().waitFor();
  });

  it('refuses a time range that runs backwards before anybody is asked', async () => {
    const { page } = await suite.person();
    await openAuditLog(page);
    await page.getByRole('combobox', { name: 'Time' }).selectOption('From … to …');
    await page.getByLabel('From', { exact: true }).fill('2026-05-02T00:00:00');
    await page.getByLabel('to', { exact: true }).fill('2026-05-01T00:00:00');
    await page.getByRole('alert').getByText('The end is before the beginning.').waitFor();
  });

  it('counts what is new while it is paused, and shows it when asked', async () => {
    const { page } = await suite.person();
    await openAuditLog(page);
    await page.getByRole('button', { name: 'Pause' }).click();
    const canary = word();
    const terminal = await (await suite.person()).openTerminal('default', 'bb');
    await terminal.run(`echo ${canary}`);
    await page.getByRole('button', { name: /new events?$/ }).waitFor();
    expect(await row(page, canary).count()).toBe(0);
    await page.getByRole('button', { name: 'Go on' }).click();
    await row(page, canary).first().waitFor();
  });

  it('is downloaded as CSV and as JSON Lines by the same filter, which is audited', async () => {
    const { page } = await suite.person();
    const canary = word();
    const terminal = await (await suite.person()).openTerminal('default', 'bb');
    await terminal.run(`echo ${canary}`);
    await openAuditLog(page);
    await row(page, canary).first().waitFor();
    await page.getByRole('combobox', { name: 'Action' }).selectOption('Command');
    await eventually('the filter', () => (page.url().includes('action=') ? true : null));
    expect(await download(page, 'Download as CSV')).toContain(canary);
    const lines = (await download(page, 'Download as JSON Lines')).trim().split('\n');
    const events = lines.map((line) => JSON.parse(line) as { action: string; command: string });
    expect(new Set(events.map(({ action }) => action))).toEqual(new Set(['command_executed']));
    expect(events.some(({ command }) => command.includes(canary))).toBe(true);
    await page.goto('/audit?action=audit_export');
    await row(page, 'Audit log exported').nth(1).waitFor();
  });

  it('has few rows in the page, however many there are', async () => {
    const { page } = await suite.person();
    const cluster = await suite.stack.clusterId();
    const statuses = await page.evaluate(async (id) => {
      const open = (pod: string) =>
        fetch('/api/v1/sessions', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ cluster: id, namespace: 'default', pod, columns: 80, rows: 24 }),
        }).then((response) => response.status);
      const all: number[] = [];
      for (let run = 0; run < 15; run += 1) {
        all.push(...(await Promise.all(Array.from({ length: 10 }, (_, index) => open(`nobody-${run}-${index}`)))));
      }
      return all;
    }, cluster);
    expect(Math.min(...statuses)).toBeGreaterThanOrEqual(400);
    await openAuditLog(page);
    await row(page, 'Session refused').first().waitFor();
    const height = () => page.evaluate(() => document.documentElement.scrollHeight);
    // The end of one page is the beginning of the next, which may come after the scrolling.
    await eventually('the end of the log', async () => {
      await page.evaluate(() => {
        window.scrollTo(0, document.documentElement.scrollHeight);
      });
      const isAll = (await page.getByText('That is all.').count()) === 1;
      const last = await page.getByRole('row').last().textContent();
      return isAll && last?.includes('Cluster created') === true ? true : null;
    });
    expect(await height()).toBeGreaterThan(150 * 40);
    expect(await page.getByRole('row').count()).toBeLessThan(80);
  });
});
