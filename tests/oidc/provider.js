// A real OpenID Connect provider (npm's oidc-provider) for the tests of signing in at one.
//
// Prints `ready http://127.0.0.1:PORT` when it listens. A test then says by POST /test/client who the relay is, by
// POST /test/person who signs in next and what is known of them, and by POST /test/fault what is to be wrong with the
// next tokens: the provider is the real one, what it signed is exchanged on its way out.
import { createServer } from 'node:http';
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT, decodeJwt } from 'jose';
import { Provider } from 'oidc-provider';

const { privateKey } = await generateKeyPair('RS256', { extractable: true });
const { privateKey: foreignKey } = await generateKeyPair('RS256', { extractable: true });
const jwk = { ...(await exportJWK(privateKey)), kid: 'of-this-provider', alg: 'RS256', use: 'sig' };

const issuer = () => `http://127.0.0.1:${server.address().port}`;
const people = new Map();
let provider;
let answer;
let current = null;
let fault = 'none';

const server = createServer((request, response) => void handle(request, response));
server.listen(0, '127.0.0.1', () => {
  console.log(`ready http://127.0.0.1:${server.address().port}`);
});
// The test reads the first line alone; what the library tells later goes nowhere.
process.stdout.on('error', () => {});
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();

async function handle(request, response) {
  const { pathname } = new URL(request.url, issuer());
  if (pathname.startsWith('/test/interaction/')) return interact(request, response);
  if (pathname.startsWith('/test/')) return told(request, response, pathname);
  if (provider === undefined) return response.writeHead(503).end();
  return answer(request, response);
}

async function told(request, response, pathname) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const said = JSON.parse(Buffer.concat(chunks).toString());
  if (pathname === '/test/client') start(said);
  else if (pathname === '/test/person') {
    current = said.sub;
    people.set(said.sub, said);
  } else if (pathname === '/test/fault') fault = said.fault;
  else return response.writeHead(404).end();
  response.writeHead(204).end();
}

// Whoever comes is the person whom the test named.
async function interact(request, response) {
  if (current === null) {
    return provider.interactionFinished(request, response, { error: 'access_denied', error_description: 'said no' });
  }
  return provider.interactionFinished(request, response, { login: { accountId: current } });
}

function start({ client_id, client_secret, redirect_uri, claims_in }) {
  provider = new Provider(issuer(), {
    clients: [{ client_id, client_secret, redirect_uris: [redirect_uri] }],
    cookies: { keys: ['of-a-test'] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    conformIdTokenClaims: claims_in !== 'id_token',
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/test/interaction/${interaction.uid}` },
    jwks: { keys: [jwk] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ ...people.get(id), sub: id }) }),
    // Nobody is asked for consent.
    loadExistingGrant: async (context) => {
      const grant = new context.oidc.provider.Grant({
        clientId: context.oidc.client.clientId,
        accountId: context.oidc.session.accountId,
      });
      grant.addOIDCScope('openid email profile groups');
      await grant.save();
      return grant;
    },
  });
  provider.use(async (context, next) => {
    await next();
    if (context.path === '/token' && context.body?.id_token !== undefined) {
      context.body.id_token = await spoilt(context.body.id_token);
    }
  });
  answer = provider.callback();
}

async function spoilt(token) {
  if (fault === 'none') return token;
  const claims = decodeJwt(token);
  const now = Math.floor(Date.now() / 1000);
  if (fault === 'audience') claims.aud = 'another-client';
  if (fault === 'second_audience') claims.aud = [claims.aud, 'another-client'];
  if (fault === 'issuer') claims.iss = 'https://another.example.org';
  if (fault === 'nonce') claims.nonce = 'another-nonce';
  if (fault === 'no_nonce') delete claims.nonce;
  if (fault === 'expired') Object.assign(claims, { iat: now - 7200, exp: now - 3600 });
  if (fault === 'quoted_verified') claims.email_verified = 'false';
  if (fault === 'unsigned') return new UnsecuredJWT(claims).encode();
  const header = { alg: 'RS256', kid: jwk.kid };
  if (fault === 'symmetric') {
    // The public key, which everybody knows, as if it were a shared secret.
    const secret = Buffer.from(await exportSPKI(await publicKey()));
    return new SignJWT(claims).setProtectedHeader({ ...header, alg: 'HS256' }).sign(secret);
  }
  return new SignJWT(claims).setProtectedHeader(header).sign(fault === 'signature' ? foreignKey : privateKey);
}

async function publicKey() {
  const { createPublicKey } = await import('node:crypto');
  return createPublicKey({ key: { kty: jwk.kty, n: jwk.n, e: jwk.e }, format: 'jwk' });
}
