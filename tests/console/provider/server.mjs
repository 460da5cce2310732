/**
 * A certified OpenID Connect provider for the tests of the console's sign-in. Everybody may sign in, by the name that is typed.
 *
 * Names decide what is told of them: `brief@…` gets an ID token of seconds, and the address of `unverified@…` is not verified.
 */
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import Provider from "oidc-provider";

const { issuer, port, cert, key, client, brief } = JSON.parse(process.env.PROVIDER);

const signing = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: client.id,
      client_secret: client.secret,
      redirect_uris: [client.redirect],
      response_types: ["code"],
      grant_types: ["authorization_code"],
    },
  ],
  jwks: { keys: [{ ...signing, alg: "RS256", use: "sig" }] },
  cookies: { keys: ["tests"] },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "groups"] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  ttl: {
    IdToken: (context) => (context.oidc.account?.accountId.startsWith("brief@") ? brief : 3600),
    AccessToken: 600,
    AuthorizationCode: 600,
    Grant: 3600,
    Interaction: 600,
    Session: 3600,
  },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      email: id,
      email_verified: !id.startsWith("unverified@"),
      name: id.split("@")[0],
      groups: [`group-of-${id}`],
    }),
  }),
  /** Nobody is asked what the client may know: it is of the same house. */
  loadExistingGrant: async (context) => {
    const { provider: at, client: asking, session, params } = context.oidc;
    const granted = new at.Grant({ clientId: asking.clientId, accountId: session.accountId });
    granted.addOIDCScope(params.scope);
    await granted.save();
    return granted;
  },
});
provider.on("server_error", (_, error) => console.error(error));

createServer({ cert: readFileSync(cert), key: readFileSync(key) }, provider.callback()).listen(port, "127.0.0.1", () => {
  console.log(`serving ${issuer}`);
});
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
