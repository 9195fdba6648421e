import { describe, expect, it } from 'vitest';
import type { ConsoleWindow } from '../src/console';
import { Look } from '../src/look';
import { setUp } from '../src/suite';

const suite = setUp('one', ['--password-sign-in'], 'localhost');

/** An authenticator without hardware, as Chromium's developer tools have it. */
async function authenticator(window: ConsoleWindow) {
  const tools = await window.context.newCDPSession(window.page);
  await tools.send('WebAuthn.enable');
  const { authenticatorId } = await tools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return { tools, authenticatorId };
}

async function signOut({ page }: ConsoleWindow): Promise<void> {
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
}

async function addPasskey({ page }: ConsoleWindow, name: string): Promise<void> {
  await page.goto('/account/sign-in');
  await page.getByLabel('Name of the new passkey').fill(name);
  await page.getByRole('button', { name: 'Add a passkey' }).click();
  await page.getByText('never used').waitFor();
}

describe('a passkey', () => {
  it('is added, signs in without a name typed, and signs nobody in once it is removed', async () => {
    const window = await suite.person();
    const { page } = window;
    await authenticator(window);
    await addPasskey(window, 'Laptop');
    await signOut(window);
    await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
    await page.getByRole('heading', { name: 'How you sign in' }).waitFor();
    await page.getByText('last used').waitFor();
    await page.getByRole('button', { name: 'Remove' }).click();
    await page.getByText('You have none yet.').waitFor();
    await signOut(window);
    await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
    await page.getByRole('alert').getByText('This passkey did not sign you in.').waitFor();
  });

  it('whose counter does not go up is a copy, and is refused', async () => {
    const window = await suite.person();
    const { page } = window;
    const { tools, authenticatorId } = await authenticator(window);
    await addPasskey(window, 'Key');
    await signOut(window);
    await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
    await page.getByText('last used').waitFor();
    await signOut(window);
    const { credentials } = await tools.send('WebAuthn.getCredentials', { authenticatorId });
    const [credential] = credentials;
    if (credential === undefined) throw new Error('the authenticator has no passkey');
    await tools.send('WebAuthn.removeCredential', { authenticatorId, credentialId: credential.credentialId });
    await tools.send('WebAuthn.addCredential', { authenticatorId, credential: { ...credential, signCount: 0 } });
    await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
    await page.getByRole('alert').getByText('This passkey did not sign you in.').waitFor();
  });

  it('needs its person, not only the device', async () => {
    const window = await suite.person();
    const { page } = window;
    const { tools, authenticatorId } = await authenticator(window);
    await addPasskey(window, 'Phone');
    await signOut(window);
    await tools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
    await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
    await page.getByRole('alert').getByText('No passkey was given.').waitFor();
  });
});

describe('a password', () => {
  it('is set after a link, signs in, and is no help to who guesses', async () => {
    const window = await suite.person();
    const { page } = window;
    await page.goto('/account/sign-in');
    await page.getByLabel('New password').fill('correct horse battery');
    await page.getByRole('button', { name: 'Set a password' }).click();
    await page.getByText('Your password is set.').waitFor();
    await signOut(window);
    const email = page.getByLabel('E-mail address');
    const password = page.getByLabel('Password');
    await email.fill('ada@example.com');
    await password.fill('wrong horse battery');
    await page.getByRole('button', { name: 'Sign in with a password' }).click();
    await page.getByRole('alert').getByText('check the address and the password').waitFor();
    expect(await password.inputValue()).toBe('');
    await password.fill('correct horse battery');
    await page.getByRole('button', { name: 'Sign in with a password' }).click();
    await page.getByRole('heading', { name: 'How you sign in' }).waitFor();
  });
});

it('a browser that comes back refused is told why', async () => {
  const { page } = await suite.stranger();
  await page.goto('/sign-in?refused=not_invited');
  await page.getByRole('alert').getByText('nobody has invited you yet').waitFor();
  await page.goto('/sign-in?refused=%3Cimg%20src%3Dx%3E');
  await page.getByRole('alert').getByText('You could not be signed in.').waitFor();
});

it('the groups of a provider are led to groups here by their names', async () => {
  await suite.stack.call('POST', '/groups', { name: 'Shop admins' });
  const window = await suite.person();
  const { page } = window;
  await page.goto('/settings/sign-in');
  await page.getByRole('button', { name: 'Add a provider' }).click();
  await page.getByLabel('Name of the button').fill('Example login');
  await page.getByLabel('Issuer').fill('https://login.example.org');
  await page.getByLabel('Client id').fill('podlatch');
  await page.getByLabel('Claim that lists groups').fill('groups');
  await page.getByLabel('Group at the provider, line 1').fill('shop-admins');
  await page.getByRole('button', { name: 'Save the provider' }).click();
  await page.getByRole('alert').getByText('Choose a group for “shop-admins”.').waitFor();
  await new Look(window, 'sign-in').at('provider');
  await page.getByLabel('Group here, line 1').selectOption('Shop admins');
  await page.getByRole('button', { name: 'Save the provider' }).click();
  await page.getByRole('heading', { name: 'Example login' }).waitFor();
  await page.reload();
  await page.getByRole('button', { name: 'Edit' }).click();
  expect(await page.getByLabel('Group here, line 1').locator('option:checked').innerText()).toBe('Shop admins');
});
