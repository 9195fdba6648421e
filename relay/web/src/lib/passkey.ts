/** The browser's authenticators. */

/** Whether this browser can have passkeys. */
export function hasPasskeys(): boolean {
  return typeof PublicKeyCredential === 'function' && 'parseCreationOptionsFromJSON' in PublicKeyCredential;
}

/** Makes a passkey; `null` where its person or the authenticator did not. */
export function makePasskey(options: unknown): Promise<object | null> {
  return answer(() =>
    navigator.credentials.create({
      publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options as PublicKeyCredentialCreationOptionsJSON),
    }),
  );
}

/** Asks for a passkey; `null` where its person or the authenticator did not give one. */
export function usePasskey(options: unknown): Promise<object | null> {
  return answer(() =>
    navigator.credentials.get({
      publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options as PublicKeyCredentialRequestOptionsJSON),
    }),
  );
}

async function answer(ask: () => Promise<Credential | null>): Promise<object | null> {
  try {
    const credential = await ask();
    return credential instanceof PublicKeyCredential ? credential.toJSON() : null;
  } catch (error) {
    // Every refusal of a person or an authenticator is one of these.
    if (error instanceof DOMException) return null;
    throw error;
  }
}
