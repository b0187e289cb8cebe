// The certified provider `oidc-provider` for the tests of the door: anybody signs in with any
// password. Its one argument says the port, the client, the key and how late its clock is.
import { createServer } from "node:http";
import Provider from "oidc-provider";

const plan = JSON.parse(process.argv[2]);
const now = Date.now;
Date.now = () => now() - plan.behind * 1000;
const provider = new Provider(plan.issuer, {
  clients: [
    {
      client_id: plan.client,
      client_secret: plan.secret,
      redirect_uris: [`${plan.front}/.door/oidc/back`],
      post_logout_redirect_uris: [`${plan.front}/.door/signed-out`],
      id_token_signed_response_alg: plan.key.kty === "EC" ? "ES256" : "RS256",
    },
  ],
  jwks: { keys: [plan.key] },
  claims: { openid: ["sub"], profile: ["preferred_username"] },
  pkce: { required: () => true },
  cookies: { keys: ["of these tests"] },
  ttl: { IdToken: 300 },
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id }),
  }),
});
createServer(provider.callback()).listen(plan.port, "127.0.0.1");
