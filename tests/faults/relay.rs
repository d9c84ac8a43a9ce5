//! A wire between two programs that can be made to hang, to lose answers, or to be dead.
#![allow(unreachable_pub)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to whatever comes from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Through,
    /// Connections are taken, and nothing goes through until they are let through.
    Held,
    /// Requests go through, answers wait.
    AnswersHeld,
    /// Requests go through, and in place of the answer the connection ends.
    AnswersLost,
    /// Requests arrive so much later.
    Slow(Duration),
    /// Every connection ends.
    Refused,
}

pub struct Relay {
    address: SocketAddr,
    target: watch::Sender<SocketAddr>,
    mode: watch::Sender<Mode>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

impl Relay {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            target: watch::Sender::new((Ipv4Addr::LOCALHOST, 1).into()),
            mode: watch::Sender::new(Mode::Through),
        };
        let (target, mode) = (relay.target.subscribe(), relay.mode.subscribe());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, target.clone(), mode.clone()));
            }
        });
        relay
    }

    /// Where connections go that are made from now on.
    pub fn to(&self, port: u16) -> &Self {
        self.target.send_replace((Ipv4Addr::LOCALHOST, port).into());
        self
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn carry(
    near: TcpStream,
    target: watch::Receiver<SocketAddr>,
    mut mode: watch::Receiver<Mode>,
) {
    if mode.wait_for(|mode| *mode != Mode::Held).await.is_err() || *mode.borrow() == Mode::Refused {
        return;
    }
    let to = *target.borrow();
    let Ok(far) = TcpStream::connect(to).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    // Where one way ends, so does the other.
    tokio::select! {
        _ = pass(near_in, far_out, Way::There, mode.clone()) => {}
        _ = pass(far_in, near_out, Way::Back, mode.clone()) => {}
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: Way,
    mut mode: watch::Receiver<Mode>,
) -> Option<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        loop {
            let now = *mode.borrow_and_update();
            match (now, way) {
                (Mode::Held, _) | (Mode::AnswersHeld, Way::Back) => mode.changed().await.ok()?,
                (Mode::AnswersLost, Way::Back) | (Mode::Refused, _) => return None,
                (Mode::Slow(by), Way::There) => {
                    tokio::time::sleep(by).await;
                    break;
                }
                _ => break,
            }
        }
        to.write_all(&buffer[..read]).await.ok()?;
    }
}
