//! OpenID Connect: sends people to an organisation's provider, and checks what it says when they come back.
//!
//! Code flow with PKCE, state and nonce. The token's issuer, audience, signature and times are the `openidconnect` crate's
//! to check; symmetric signatures and none at all are never taken.

mod http;

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalClaims, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenClaims, IdTokenFields, IssuerUrl,
    Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, StandardErrorResponse,
    StandardTokenResponse, SubjectIdentifier, TokenResponse,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::http::ProviderHttp;
use crate::domain::sign_in::{ClaimedEmail, Claims};

/// The signatures that are taken: only such as the provider alone can make.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// The relay as a provider knows it.
#[derive(Debug)]
pub struct RelyingParty {
    /// Who the provider is, exactly as its tokens say.
    pub issuer: String,
    /// Who the relay is there.
    pub client_id: String,
    /// With what it proves that.
    pub client_secret: Option<SecretString>,
    /// Where people come back to.
    pub redirect_url: String,
}

/// A sign-in at a provider that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub url: String,
    /// What must be remembered until it comes back.
    pub secrets: FlowSecrets,
}

/// What the relay remembers of a sign-in at a provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FlowSecrets {
    nonce: String,
    pkce_verifier: String,
}

/// Why a sign-in at a provider came to nothing. The text is for the log and the administrators, not for whoever signs in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The relay's own settings for the provider make no sense.
    #[error("the provider's settings make no sense: {0}")]
    Settings(String),
    /// The provider does not answer, or not as a provider should.
    #[error("the provider could not be asked: {0}")]
    Unreachable(String),
    /// The provider did not give a token for the code.
    #[error("the provider gave no token: {0}")]
    NoToken(String),
    /// The provider's token is not one that the relay takes.
    #[error("the provider's token is not good: {0}")]
    BadToken(String),
}

impl OidcError {
    /// The stable name, for the audit log.
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::Settings(_) => "provider_settings",
            Self::Unreachable(_) => "provider_unreachable",
            Self::NoToken(_) => "provider_gave_no_token",
            Self::BadToken(_) => "provider_token_not_good",
        }
    }
}

impl RelyingParty {
    /// Begins: asks the provider where it is to be asked. `state` is what the provider must give back. Cancel safe.
    pub async fn begin(&self, http: &ProviderHttp, state: &str, scopes: &[String]) -> Result<Begun, OidcError> {
        let client = self.client(http).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let state = CsrfToken::new(state.to_owned());
        let request = client.authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, Nonce::new_random);
        let scopes = ["email", "profile"].into_iter().chain(scopes.iter().map(String::as_str));
        let request = request.add_scopes(scopes.map(|scope| Scope::new(scope.to_owned())));
        let (url, _, nonce) = request.set_pkce_challenge(challenge).url();
        let secrets = FlowSecrets { nonce: nonce.secret().clone(), pkce_verifier: verifier.into_secret() };
        Ok(Begun { url: url.into(), secrets })
    }

    /// Trades the code that the browser brought for the provider's word, and checks it. Cancel safe.
    pub async fn finish(
        &self,
        http: &ProviderHttp,
        code: String,
        secrets: FlowSecrets,
        groups_claim: Option<&str>,
    ) -> Result<Claims, OidcError> {
        let client = self.client(http).await?;
        let request = client.exchange_code(AuthorizationCode::new(code)).map_err(settings)?;
        let verifier = PkceCodeVerifier::new(secrets.pkce_verifier);
        let tokens = request.set_pkce_verifier(verifier).request_async(http).await;
        let tokens = tokens.map_err(|error| OidcError::NoToken(chain(&error)))?;
        let (told, token) = (Self::check(&client, &tokens, &Nonce::new(secrets.nonce))?, tokens.access_token());
        let lacks_groups = groups_claim.is_some_and(|claim| !has(&told.all, claim));
        if (told.email.is_some() && !lacks_groups) || client.user_info_url().is_none() {
            return Ok(told);
        }
        self.ask_more(&client, http, token.clone(), told).await
    }

    fn check(client: &OidcClient, tokens: &Tokens, nonce: &Nonce) -> Result<Claims, OidcError> {
        let bad = |error: &dyn std::error::Error| OidcError::BadToken(chain(error));
        let id_token = tokens.id_token().ok_or_else(|| OidcError::BadToken("there is no id_token".to_owned()))?;
        let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
        let claims = id_token.claims(&verifier, nonce).map_err(|error| bad(&error))?;
        if let Some(expected) = claims.access_token_hash() {
            let algorithm = id_token.signing_alg().map_err(|error| bad(&error))?;
            let key = id_token.signing_key(&verifier).map_err(|error| bad(&error))?;
            let actual = AccessTokenHash::from_token(tokens.access_token(), algorithm, key);
            if actual.map_err(|error| bad(&error))? != *expected {
                return Err(OidcError::BadToken("the access token is another one's".to_owned()));
            }
        }
        Ok(from_id_token(claims))
    }

    /// What the provider says elsewhere: many put only the subject into the token.
    async fn ask_more(
        &self,
        client: &OidcClient,
        http: &ProviderHttp,
        token: AccessToken,
        told: Claims,
    ) -> Result<Claims, OidcError> {
        let subject = SubjectIdentifier::new(told.subject.clone());
        let request = client.user_info(token, Some(subject)).map_err(settings)?;
        let info = request.request_async::<AllClaims, _, CoreGenderClaim>(http).await;
        let info = info.map_err(|error| OidcError::BadToken(chain(&error)))?;
        let email = info.email().map(|email| claimed(email.as_str(), info.email_verified()));
        let name = info.name().and_then(|name| name.get(None)).map(|name| name.as_str().to_owned());
        let mut all = info.additional_claims().0.clone();
        all.extend(told.all);
        Ok(Claims { subject: told.subject, email: told.email.or(email), name: told.name.or(name), all })
    }

    async fn client(&self, http: &ProviderHttp) -> Result<OidcClient, OidcError> {
        let issuer = IssuerUrl::new(self.issuer.clone()).map_err(settings)?;
        let metadata = CoreProviderMetadata::discover_async(issuer, http).await;
        let metadata = metadata.map_err(|error| OidcError::Unreachable(chain(&error)))?;
        let secret = self.client_secret.as_ref().map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
        let redirect = RedirectUrl::new(self.redirect_url.clone()).map_err(settings)?;
        let client = Client::from_provider_metadata(metadata, ClientId::new(self.client_id.clone()), secret);
        Ok(client.set_redirect_uri(redirect))
    }
}

/// Every claim that has no name of its own in the standard.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct AllClaims(Map<String, Value>);

impl AdditionalClaims for AllClaims {}

type Tokens = StandardTokenResponse<
    IdTokenFields<
        AllClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type OidcClient = Client<
    AllClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

fn from_id_token(claims: &IdTokenClaims<AllClaims, CoreGenderClaim>) -> Claims {
    Claims {
        subject: claims.subject().as_str().to_owned(),
        email: claims.email().map(|email| claimed(email.as_str(), claims.email_verified())),
        name: claims.name().and_then(|name| name.get(None)).map(|name| name.as_str().to_owned()),
        all: claims.additional_claims().0.clone(),
    }
}

/// Only a plain `true` is a yes: one provider's "false" in quotes was taken for it before.
fn claimed(email: &str, verified: Option<bool>) -> ClaimedEmail {
    match (verified, email.parse()) {
        (Some(true), Ok(email)) => ClaimedEmail::Verified(email),
        _ => ClaimedEmail::Unverified,
    }
}

fn has(claims: &Map<String, Value>, claim: &str) -> bool {
    let first = claim.split('.').next().unwrap_or(claim);
    claims.contains_key(claim) || claims.contains_key(first)
}

fn settings(error: impl std::error::Error) -> OidcError {
    OidcError::Settings(chain(&error))
}

/// An error with all that caused it. None of them holds a token or a secret.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
