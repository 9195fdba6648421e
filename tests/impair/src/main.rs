//! The proxy as a program, for tests that are not written in Rust.

use clap::Parser;
use podlatch_impair::command::{Cli, Command, Protocol};
use podlatch_impair::{Counters, TcpProxy, UdpProxy};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    // Before anyone is told that the proxy is ready.
    let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let proxy = Proxy::start(&cli).await?;
    println!("ready {}", proxy.address());
    tokio::select! {
        () = obey(&proxy) => {}
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    proxy.shutdown().await;
    Ok(())
}

/// Obeys standard input. When that ends, nothing changes any more.
async fn obey(proxy: &Proxy) {
    let mut lines = read_lines();
    while let Some(line) = lines.recv().await {
        match line.parse::<Command>().and_then(|command| proxy.obey(&command)) {
            Ok(answer) => println!("{answer}"),
            Err(refusal) => println!("refused: {refusal}"),
        }
    }
    std::future::pending::<()>().await;
}

/// Reads standard input on a thread of its own: a read of it cannot be interrupted, and must not hold up the end.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

enum Proxy {
    Udp(UdpProxy),
    Tcp(TcpProxy),
}

impl Proxy {
    async fn start(cli: &Cli) -> std::io::Result<Self> {
        let profile = cli.profile.profile();
        Ok(match cli.protocol {
            Protocol::Udp => Self::Udp(UdpProxy::start(cli.listen, cli.upstream, profile, cli.seed).await?),
            Protocol::Tcp => Self::Tcp(TcpProxy::start(cli.listen, cli.upstream, profile, cli.seed).await?),
        })
    }

    fn address(&self) -> std::net::SocketAddr {
        match self {
            Self::Udp(proxy) => proxy.address(),
            Self::Tcp(proxy) => proxy.address(),
        }
    }

    fn obey(&self, command: &Command) -> Result<String, String> {
        match (self, command) {
            (Self::Udp(proxy), Command::Cut { directions }) => proxy.cut((*directions).into()),
            (Self::Tcp(proxy), Command::Cut { directions }) => proxy.cut((*directions).into()),
            (Self::Udp(proxy), Command::Heal) => proxy.heal(),
            (Self::Tcp(proxy), Command::Heal) => proxy.heal(),
            (Self::Udp(proxy), Command::Profile(options)) => proxy.set_profile(options.profile()),
            (Self::Tcp(proxy), Command::Profile(options)) => proxy.set_profile(options.profile()),
            (Self::Udp(proxy), Command::ChangeAddress) => proxy.change_address(),
            (Self::Tcp(proxy), Command::Reset) => proxy.reset(),
            (Self::Udp(proxy), Command::Counters) => return Ok(describe(proxy.counters())),
            (Self::Tcp(proxy), Command::Counters) => return Ok(describe(proxy.counters())),
            (Self::Tcp(_), Command::ChangeAddress) => return Err("only UDP changes its address".to_owned()),
            (Self::Udp(_), Command::Reset) => return Err("only TCP can be reset".to_owned()),
        }
        Ok("ok".to_owned())
    }

    async fn shutdown(self) {
        match self {
            Self::Udp(proxy) => proxy.shutdown().await,
            Self::Tcp(proxy) => proxy.shutdown().await,
        }
    }
}

fn describe(counters: Counters) -> String {
    format!("{counters:?}")
}
