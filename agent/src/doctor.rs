//! stub
/// stub
pub async fn run(_args: &crate::config::CommonArgs) -> anyhow::Result<bool> {
    Ok(true)
}
