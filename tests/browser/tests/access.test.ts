import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { Look } from '../src/look';
import { setUp } from '../src/suite';

const suite = setUp();

const MEMBER = 'mia@example.com';
const RULE = 'Members enter default';

beforeAll(() => suite.stack.invite(MEMBER));

/** Goes on from the form of a rule to what it would do, and saves it. */
async function save(page: Page, seen: RegExp): Promise<void> {
  await page.getByRole('button', { name: 'Review and save' }).click();
  const review = page.getByRole('dialog');
  await review.getByText(seen).first().waitFor();
  await review.getByRole('button', { name: 'Save rule' }).click();
  await page.getByRole('heading', { name: 'Access rules', exact: true }).waitFor();
}

const openTools = async (page: Page) => {
  await page.goto(`/c/${await suite.stack.clusterId()}/n/default/p/tools/main`);
  await page.getByRole('button', { name: 'Open a terminal' }).click();
};

describe('access rules', () => {
  it('let nobody in by themselves; a rule that is made in the console does, with a reason', async () => {
    const member = await suite.person({ email: MEMBER });
    const owner = await suite.person();
    const looks = new Look(owner, 'access');
    const theirs = new Look(member, 'access');

    await member.page.getByRole('heading', { name: 'No cluster is open to you' }).waitFor();
    await theirs.at('nothing-open');
    await openTools(member.page);
    await member.page.getByRole('alert').getByText('No access rule allows you this.').waitFor();
    await theirs.at('denied');
    await member.page.getByRole('link', { name: 'Why?' }).click();
    await member.page.getByText('Not allowed').waitFor();
    await theirs.at('why-not');

    await owner.page.getByRole('link', { name: 'Settings', exact: true }).click();
    await owner.page.getByRole('link', { name: 'Access rules' }).click();
    await owner.page.getByText('Owners may open everything').waitFor();
    await owner.page.getByRole('link', { name: 'New rule' }).click();
    await owner.page.getByRole('button', { name: 'Review and save' }).click();
    await owner.page.getByText('Give the rule a name.').waitFor();
    await looks.at('rule-incomplete');
    await owner.page.getByLabel('Name', { exact: true }).fill(RULE);
    await owner.page.getByLabel('members').check();
    await owner.page.getByLabel('Namespaces').fill('default');
    await owner.page.getByLabel('The person has to say why').check();
    await owner.page.getByRole('button', { name: 'Review and save' }).click();
    await owner.page.getByRole('dialog').getByText(MEMBER).first().waitFor();
    await looks.at('rule-review');
    await owner.page.getByRole('dialog').getByRole('button', { name: 'Back' }).click();
    await save(owner.page, new RegExp(MEMBER));
    await owner.page.getByText('Needs a reason.').waitFor();
    await looks.at('rules');

    await openTools(member.page);
    const asked = member.page.getByRole('dialog', { name: 'Why do you need this terminal?' });
    await asked.waitFor();
    expect(await asked.getByRole('button', { name: 'Open a terminal' }).isDisabled()).toBe(true);
    await theirs.at('reason');
    await asked.getByLabel('Reason').fill('Repair the shop');
    await asked.getByLabel('Reason').press('Enter');
    await member.page.waitForURL(/\/tools\/main\/s\//);
  });

  it('are not overwritten by somebody who saw an older one, and are deleted only after a look at what that does', async () => {
    const [one, other] = [await suite.person(), await suite.person()];
    for (const { page } of [one, other]) {
      await page.goto('/settings/access-rules');
      await page.getByRole('link', { name: RULE }).click();
      await page.getByRole('heading', { name: 'Terms' }).waitFor();
    }
    await one.page.getByLabel('A session lasts at most').fill('1h 30m');
    await save(one.page, /gains or loses/);
    await other.page.getByLabel('A session lasts at most').fill('2h');
    await other.page.getByRole('button', { name: 'Review and save' }).click();
    await other.page.getByRole('dialog').getByRole('button', { name: 'Save rule' }).click();
    await other.page.getByRole('alert').getByText('somebody else changed this rule').waitFor();
    await new Look(other, 'access').at('conflict');
    await other.page.getByRole('button', { name: 'Load the newest version' }).click();
    await other.page.getByRole('alert').waitFor({ state: 'detached' });
    expect(await other.page.getByLabel('A session lasts at most').inputValue()).toBe('1h 30m');
    await other.page.getByRole('button', { name: 'Delete', exact: true }).click();
    const review = other.page.getByRole('dialog');
    await review.getByRole('heading', { name: 'Lost' }).waitFor();
    await review.getByRole('button', { name: 'Delete rule' }).click();
    await other.page.getByRole('heading', { name: 'Access rules', exact: true }).waitFor();
    await other.page.getByText('Owners may open everything').waitFor();
    expect(await other.page.getByText(RULE).count()).toBe(0);
  });
});
