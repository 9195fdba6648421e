import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../src/eventually';
import { Look } from '../src/look';
import { CLUSTER } from '../src/stack';
import { setUp } from '../src/suite';
import { TerminalWindow } from '../src/terminal-window';

const suite = setUp();

const APPROVAL_RULE = 'The shop is open with approval';

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

describe('a terminal that needs approval', () => {
  it('is requested by one person, approved by another, opened without a reload, and both are audited', async () => {
    const [owner, member] = [await suite.person(), await suite.person({ email: MEMBER })];
    await owner.page.goto('/settings/access-rules/new');
    await owner.page.getByLabel('Name', { exact: true }).fill(APPROVAL_RULE);
    await owner.page.getByLabel('members').check();
    await owner.page.getByLabel('Namespaces').fill('shop');
    await owner.page.getByLabel('Approval by another person').selectOption('By an owner or admin');
    await save(owner.page, new RegExp(MEMBER));

    const [pod = ''] = await suite.stack.kubectl.podsOf('shop', 'app=web');
    await member.page.goto(`/c/${await suite.stack.clusterId()}/n/shop/p/${pod}/app`);
    await member.page.getByRole('button', { name: 'Open a terminal' }).click();
    await member.page.getByRole('button', { name: 'Request access' }).click();
    const asked = member.page.getByRole('dialog', { name: 'Request access' });
    expect(await asked.getByRole('button', { name: 'Request access' }).isDisabled()).toBe(true);
    await asked.getByLabel('Reason').fill('Orders are stuck');
    await new Look(member, 'access').at('request');
    await asked.getByRole('button', { name: 'Request access' }).click();
    await member.page.getByText('Your request waits for approval').waitFor();
    await new Look(member, 'access').at('waiting');

    await owner.page.goto('/access/requests');
    const card = owner.page.getByRole('region', { name: 'Waiting for you' }).getByRole('article');
    await card.getByText('Orders are stuck').waitFor();
    await new Look(owner, 'access').at('requests');
    await card.getByRole('button', { name: /^Approve/ }).click();

    await member.page.getByText('Your request was approved').waitFor();
    await member.page.getByRole('button', { name: 'Open a terminal' }).click();
    const terminal = new TerminalWindow(member);
    await terminal.settle();
    expect(await terminal.run('hostname')).toEqual([pod]);
    const actors = await eventually('both acts are in the audit log', async () => {
      const { items } = (await suite.stack.call('GET', '/audit-events?limit=50')) as {
        items: { action: string; actor: { id: string } }[];
      };
      const acts = items.filter(({ action }) => ['access_requested', 'access_approved'].includes(action));
      return acts.length === 2 ? acts.map(({ actor }) => actor.id) : null;
    });
    expect(new Set(actors).size).toBe(2);

    // Their own request is nobody's to approve but others'.
    await member.page.goto('/access/requests');
    await member.page.getByRole('region', { name: 'Yours' }).getByText('Orders are stuck').waitFor();
    expect(await member.page.getByRole('button', { name: /^Approve/ }).count()).toBe(0);
  });
});

describe('who can open what', () => {
  it('is explained for anybody, rule by rule, at an address that others can open', async () => {
    const owner = await suite.person();
    const { page } = owner;
    await page.getByRole('link', { name: 'Access', exact: true }).click();
    await page.getByRole('link', { name: 'Who can open what' }).click();
    await page.getByLabel('Person').selectOption(MEMBER);
    await page.getByLabel('Cluster', { exact: true }).selectOption(CLUSTER);
    await page.getByLabel('Namespace').fill('shop');
    await page.getByLabel('Container').fill('app');
    await page.getByRole('button', { name: 'Explain' }).click();
    const answer = page.getByRole('region', { name: 'Answer' });
    await answer.getByText('Needs approval').waitFor();
    const rule = answer.getByRole('listitem').filter({ hasText: APPROVAL_RULE });
    await rule.getByText('It decides.').waitFor();
    await answer.getByRole('listitem').filter({ hasText: 'Owners may' }).getByText('about other people').waitFor();
    await new Look(owner, 'access').at('explanation');
    const address = page.url();
    await page.getByLabel('Namespace').fill('default');
    await page.getByRole('button', { name: 'Explain' }).click();
    await answer.getByText('Not allowed').waitFor();

    await page.goto(address);
    await answer.getByText('Needs approval').waitFor();
    await rule.getByRole('link').click();
    await page.getByRole('heading', { name: 'Terms' }).waitFor();
  });
});
