//! The store's promises, each on both engines.

mod access;
mod agents;
mod audit;
mod clusters;
mod fixture;
mod join_tokens;
mod kubernetes;
mod marks;
mod people;
mod recordings;
mod replays;
mod schema;
mod scope;
mod sessions;
mod sign_in;
mod sign_in_methods;
mod tickets;

/// Makes a test of every named case for each engine.
macro_rules! on_both_engines {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $case() { super::$case($crate::store::fixture::Fixture::sqlite().await).await; })+
        }
        mod postgres {
            $(#[tokio::test] async fn $case() { super::$case($crate::store::fixture::Fixture::postgres().await).await; })+
        }
    };
}
pub(crate) use on_both_engines;
