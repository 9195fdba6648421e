use podlatch_relay::auth::token::TokenKind;
use podlatch_relay::store::Redemption;

use super::fixture::{EXPIRY, Fixture, SOON};
use super::on_both_engines;

on_both_engines!(
    a_join_token_enrols_exactly_once_however_many_present_it,
    a_join_token_that_is_unknown_used_or_expired_says_so,
);

async fn a_join_token_enrols_exactly_once_however_many_present_it(at: Fixture) {
    let here = at.owner("ada@example.org").await.organisation.id;
    let cluster = at.cluster(here).await;
    let token = at.join_token(&cluster).await;
    let presenters: Vec<_> = (0..16)
        .map(|_| {
            let store = at.store.clone();
            tokio::spawn(async move { store.redeem_join_token(&token, SOON).await.expect("answers") })
        })
        .collect();
    let mut granted = Vec::new();
    for presenter in presenters {
        match presenter.await.expect("joins") {
            Redemption::Redeemed(grant) => granted.push((grant.organisation, grant.cluster)),
            other => assert_eq!(other, Redemption::Used),
        }
    }
    assert_eq!(granted, vec![(here, cluster.id)]);
}

async fn a_join_token_that_is_unknown_used_or_expired_says_so(at: Fixture) {
    let here = at.owner("ada@example.org").await.organisation.id;
    let token = at.join_token(&at.cluster(here).await).await;
    let unknown = at.token(TokenKind::Join);
    let redeem = async |hash, now| at.store.redeem_join_token(hash, now).await.expect("answers");
    assert_eq!(redeem(&unknown, SOON).await, Redemption::Unknown);
    assert_eq!(redeem(&token, EXPIRY).await, Redemption::Expired);
    assert!(redeem(&token, SOON).await.redeemed().is_some(), "asking too late does not use it up");
    assert_eq!(redeem(&token, SOON).await, Redemption::Used);
}
