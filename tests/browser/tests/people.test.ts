import { describe, expect, it } from 'vitest';
import { Look } from '../src/look';
import { CLUSTER, ORGANISATION } from '../src/stack';
import { setUp } from '../src/suite';

const suite = setUp();

const BOB = 'bob@example.com';

describe('somebody who is invited', () => {
  it('joins by the link, once, and is told when they are suspended', async () => {
    const owner = await suite.person();
    await owner.page.getByRole('link', { name: 'Settings' }).click();
    await owner.page.getByRole('heading', { name: 'People', exact: true }).waitFor();
    await owner.page.getByRole('button', { name: 'Invite somebody' }).click();
    await owner.page.getByLabel('E-mail address').fill(BOB);
    await owner.page.getByRole('button', { name: 'Make the invitation' }).click();
    const link = await owner.page.getByRole('dialog').getByText('/join#pli_').innerText();
    await owner.page.getByRole('button', { name: 'Copy: Invitation link' }).click();
    await owner.page.getByText('Copied').waitFor();
    expect(await owner.page.evaluate(() => navigator.clipboard.readText())).toBe(link);
    await owner.page.getByRole('button', { name: 'Done' }).click();
    await owner.page.getByRole('heading', { name: 'Open invitations' }).waitFor();
    await new Look(owner, 'owner').at('people');

    const bob = await suite.stranger();
    await bob.page.goto(link);
    await bob.page.getByRole('heading', { name: 'Join Example Ltd' }).waitFor();
    expect(bob.page.url()).not.toContain('pli_');
    await new Look(bob, 'bob').at('join');
    await bob.page.getByLabel('Your name').fill('Bob');
    await bob.page.getByRole('button', { name: 'Join' }).click();
    await bob.page.getByRole('heading', { name: 'Clusters', exact: true }).waitFor();
    expect(await bob.page.getByRole('link', { name: 'Settings' }).count()).toBe(0);
    await bob.page.goto('/settings/people');
    await bob.page.getByRole('heading', { name: 'The settings are for administrators' }).waitFor();
    await bob.page.goto('/');

    await owner.page.goto(link);
    await owner.page.getByRole('alert').getByText('has been used or withdrawn').waitFor();
    await owner.page.goto('/settings/people');
    await owner.page.getByRole('button', { name: 'Suspend: Bob' }).click();
    await owner.page.getByRole('dialog').getByRole('button', { name: 'Suspend' }).click();
    await owner.page.getByText('Suspended', { exact: true }).waitFor();
    // The page that Bob looks at asks for its clusters again by itself.
    await bob.page.getByRole('alert').getByText('You are suspended in this organisation.').waitFor();
    await new Look(bob, 'bob').at('suspended');

    await owner.page.getByRole('button', { name: 'Let in again: Bob' }).click();
    await owner.page.getByRole('dialog').getByRole('button', { name: 'Let in again' }).click();
    await owner.page.getByText('Suspended', { exact: true }).waitFor({ state: 'detached' });
    await bob.page.reload();
    await bob.page.getByRole('heading', { name: 'Clusters', exact: true }).waitFor();
  });

  it('is told what to do where somebody else is signed in', async () => {
    const owner = await suite.person();
    await owner.page.goto('/settings/people');
    await owner.page.getByRole('button', { name: 'Invite somebody' }).click();
    await owner.page.getByLabel('E-mail address').fill('eve@example.com');
    await owner.page.getByRole('button', { name: 'Make the invitation' }).click();
    const link = await owner.page.getByRole('dialog').getByText('/join#pli_').innerText();
    await owner.page.goto(link);
    await owner.page.getByText('This browser is signed in as ada@example.com.').waitFor();
    await owner.page.getByRole('button', { name: 'Sign out and go on' }).click();
    await owner.page.getByLabel('Your name').waitFor();
  });
});

it('a group is made, named, filled and deleted', async () => {
  const { page } = await suite.person();
  await page.goto('/settings/groups');
  await page.getByLabel('Name of the new group').fill('Shop');
  await page.getByRole('button', { name: 'Make a group' }).click();
  await page.getByRole('heading', { name: 'Shop', exact: true }).waitFor();
  await page.getByLabel('Kubernetes groups, one a line').fill('system:masters');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('alert').getByText('begins with "system:"').waitFor();
  await page.getByLabel('Kubernetes groups, one a line').fill('shop admins');
  await page.getByLabel('Name', { exact: true }).fill('Shop admins');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { name: 'Shop admins', exact: true }).waitFor();
  await page.getByLabel('Person to put into the group').selectOption({ label: 'ada@example.com' });
  await page.getByRole('button', { name: 'Put into the group' }).click();
  await page.getByRole('button', { name: /^Take .* out of the group$/ }).waitFor();
  await page.getByRole('button', { name: 'Delete the group' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByText('No groups yet').waitFor();
});

describe('one’s own account', () => {
  it('shows where one is signed in, and ends a login elsewhere', async () => {
    const [here, there] = [await suite.person(), await suite.person()];
    await here.page.getByRole('link', { name: 'My account' }).click();
    await here.page.getByRole('link', { name: 'Where you are signed in' }).click();
    await here.page.getByText('This browser', { exact: true }).waitFor();
    // The newest login but this one: that of the other window.
    await here.page
      .getByRole('button', { name: /^Sign out Chrome/ })
      .first()
      .click();
    await here.page.getByRole('button', { name: 'Sign out there' }).click();
    await there.page.getByRole('alert').getByText('This login was signed out.').waitFor();
  });

  it('makes an API token that works until it is revoked', async () => {
    const { page } = await suite.person();
    await page.goto('/account/tokens');
    await page.getByRole('button', { name: 'Make a token' }).click();
    await page.getByLabel('What it is for').fill('Report');
    await page.getByRole('button', { name: 'Make the token' }).click();
    const token = await page.getByRole('dialog').getByText(/^plt_/).innerText();
    const me = async () => {
      const headers = { authorization: `Bearer ${token}` };
      return (await fetch(`${suite.stack.url}/api/v1/me`, { headers })).status;
    };
    expect(await me()).toBe(200);
    await page.getByRole('button', { name: 'Done' }).click();
    await page.getByRole('button', { name: 'Revoke Report' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('No API tokens').waitFor();
    expect(await me()).toBe(401);
  });
});

it('somebody in two organisations goes from one to the other, and sees nothing of the one in the other', async () => {
  const [email, other] = ['olga@example.com', 'Other Ltd'];
  await suite.stack.invite(email, 'admin');
  await suite.stack.createOrganisation(other, email);
  const { page } = await suite.person({ email });
  await page.getByRole('link', { name: CLUSTER }).first().waitFor();
  await page.getByLabel('Organisation').selectOption(other);
  await page.getByRole('heading', { name: 'No clusters yet' }).waitFor();
  expect(await page.getByRole('link', { name: CLUSTER }).count()).toBe(0);
  await page.goto('/settings/people');
  await page.getByText(email).first().waitFor();
  expect(await page.getByText('ada@example.com').count()).toBe(0);
  await page.getByLabel('Organisation').selectOption(ORGANISATION);
  await page.getByRole('link', { name: CLUSTER }).first().waitFor();
});

it('an invitation is replaced by the next one, and whoever has joined by it is told so by its link', async () => {
  const body = { email: 'ivy@example.com', role: 'member' };
  const invited = async () => ((await suite.stack.call('POST', '/invitations', body)) as { url: string }).url;
  const [replaced, link] = [await invited(), await invited()];
  const { page } = await suite.stranger();
  const refused = page.getByRole('alert').getByText('has been used or withdrawn');
  await page.goto(replaced);
  await refused.waitFor();
  await page.goto('about:blank');
  await page.goto(link);
  await page.getByLabel('Your name').fill('Ivy');
  await page.getByRole('button', { name: 'Join' }).click();
  await page.getByRole('heading', { name: 'Clusters', exact: true }).waitFor();
  await page.goto('about:blank');
  await page.goto(link);
  await refused.waitFor();
  await page.getByRole('link', { name: 'Go to the clusters' }).click();
  await page.getByRole('heading', { name: 'Clusters', exact: true }).waitFor();
});
