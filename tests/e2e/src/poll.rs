//! Asking again and again, for what has no event to wait for.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks until the answer is there, for `limit` at most; where it does not come, the error tells `what` was waited for and what
/// was there instead. Cancel safe if `ask` is.
pub async fn until<T, Instead, Answer>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> Answer,
) -> anyhow::Result<T>
where
    Instead: Display,
    Answer: Future<Output = anyhow::Result<Result<T, Instead>>>,
{
    let start = Instant::now();
    loop {
        let instead = match ask().await? {
            Ok(answer) => return Ok(answer),
            Err(instead) => instead,
        };
        ensure!(start.elapsed() < limit, "waited in vain for {limit:?} until {what}; instead: {instead}");
        sleep(PAUSE).await;
    }
}

/// The same for something that holds or does not.
pub async fn holds<Answer>(what: &str, limit: Duration, mut ask: impl FnMut() -> Answer) -> anyhow::Result<()>
where
    Answer: Future<Output = anyhow::Result<bool>>,
{
    until(what, limit, || {
        let answer = ask();
        async { Ok(if answer.await? { Ok(()) } else { Err("it does not hold") }) }
    })
    .await
}
