// A strict OAuth server (npm oidc-provider) for the client side of lunation: PKCE with S256 or nothing, exact redirect URIs, refresh
// tokens that rotate and take the whole grant with them when an old copy is used. People agree at once.
//   node oidc_server.mjs MODULES PORT REDIRECT_URI
import http from 'node:http';

const [modules, port, redirect] = process.argv.slice(2);
const { default: Provider } = await import(`${modules}/oidc-provider/lib/index.js`);

const client = (id, method) => ({
  client_id: id, client_secret: 'secret-of-the-specs', redirect_uris: [redirect], response_types: ['code'],
  grant_types: ['authorization_code', 'refresh_token'], token_endpoint_auth_method: method,
});

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [client('post', 'client_secret_post'), client('basic', 'client_secret_basic')],
  pkce: { required: () => true, methods: ['S256'] },
  scopes: ['openid', 'offline_access', 'email', 'calendar'],
  claims: { openid: ['sub'], email: ['email'] },
  conformIdTokenClaims: false,
  features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
  issueRefreshToken: async () => true,
  rotateRefreshToken: true,
  cookies: { keys: ['specs'] },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id, email: `${id}@example.com` }) }),
  renderError: (ctx, out) => { ctx.type = 'json'; ctx.body = out; },
});

let deny = false;

async function interact(req, res) {
  const details = await provider.interactionDetails(req, res);
  if (deny) return provider.interactionFinished(req, res, { error: 'access_denied' });
  if (details.prompt.name === 'login') return provider.interactionFinished(req, res, { login: { accountId: 'alice' } });
  const grant = details.grantId ? await provider.Grant.find(details.grantId)
    : new provider.Grant({ accountId: details.session.accountId, clientId: details.params.client_id });
  grant.addOIDCScope(details.params.scope);
  return provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

async function api(req, res) {
  const token = await provider.AccessToken.find((req.headers.authorization ?? '').replace(/^Bearer /, ''));
  res.setHeader('content-type', 'application/json');
  if (!token) res.statusCode = 401;
  res.end(JSON.stringify(token ? { email: `${token.accountId}@example.com`, scope: token.scope } : { error: 'unauthorized' }));
}

const callback = provider.callback();
http.createServer((req, res) => {
  const failed = (error) => { res.statusCode = 500; res.end(String(error)); };
  if (req.url.startsWith('/deny')) { deny = req.url.endsWith('yes'); res.end('{}'); }
  else if (req.url.startsWith('/interaction/')) interact(req, res).catch(failed);
  else if (req.url.startsWith('/api/')) api(req, res).catch(failed);
  else callback(req, res);
}).listen(Number(port), '127.0.0.1', () => console.log('listening'));
