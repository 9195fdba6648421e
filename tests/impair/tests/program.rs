//! The proxy as a program.

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// The program under test; killed when the test ends, however it ends.
struct Program {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_podlatch-impair"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let commands = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, commands, answers }
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("answers");
        line.trim_end().to_owned()
    }

    fn tell(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").expect("takes the command");
        self.answer()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn receive(socket: &UdpSocket) -> String {
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).expect("receives in time");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn it_says_where_it_listens_and_obeys_commands() {
    let upstream = UdpSocket::bind("127.0.0.1:0").expect("binds");
    upstream.set_read_timeout(Some(Duration::from_secs(30))).expect("sets");
    let target = upstream.local_addr().expect("bound").to_string();
    let mut program = Program::start(&["udp", "--upstream", &target, "--seed", "3"]);
    let ready = program.answer();
    let client = UdpSocket::bind("127.0.0.1:0").expect("binds");
    client.connect(ready.strip_prefix("ready ").expect("a ready line")).expect("connects");

    client.send(b"one").expect("sends");
    assert_eq!(receive(&upstream), "one");
    assert_eq!(program.tell("cut both"), "ok");
    client.send(b"two").expect("sends");
    while !program.tell("counters").contains("cut: 1") {}
    assert_eq!(program.tell("heal"), "ok");
    client.send(b"three").expect("sends");
    assert_eq!(receive(&upstream), "three");
    assert_eq!(program.tell("profile --duplicate 100%"), "ok");
    client.send(b"four").expect("sends");
    assert_eq!((receive(&upstream), receive(&upstream)), ("four".to_owned(), "four".to_owned()));
    assert_eq!(program.tell("reset"), "refused: only TCP can be reset");
    assert!(program.tell("nonsense").starts_with("refused: "));
}
