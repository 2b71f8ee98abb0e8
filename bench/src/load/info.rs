//! `/info`, asked over and over on connections that stay.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use super::{Run, connection::Connection, http, messages::shown};

pub(crate) struct Asking {
    run: Arc<Run>,
    connection: Connection,
    reader: http::Reader,
    request: String,
    status: u16,
    body: Vec<u8>,
    asked: u64,
}

impl Asking {
    pub(crate) async fn connect(run: Arc<Run>, number: usize) -> Result<Self, String> {
        let (target, path) = (run.spec.target(number), &run.spec.path);
        let connection = Connection::connect(target, number).await?;
        let request =
            format!("GET {path}/info HTTP/1.1\r\nHost: {target}\r\nOrigin: http://{target}\r\n\r\n");
        Ok(Self {
            run,
            connection,
            reader: http::Reader::default(),
            request,
            status: 0,
            body: Vec::new(),
            asked: 0,
        })
    }

    /// Asks until it is told to stop; says how often it did.
    pub(crate) async fn ask(mut self) -> Result<u64, String> {
        while self.run.is_sending() {
            let asked = Instant::now();
            self.connection.write.extend_from_slice(self.request.as_bytes());
            self.asked += 1;
            self.body.clear();
            poll_fn(|cx| self.poll_answer(cx)).await?;
            let info = std::str::from_utf8(&self.body).unwrap_or_default();
            if self.status != 200 || !info.starts_with('{') || !info.contains("\"entropy\":") {
                return Err(format!("/info got {}: {}", self.status, shown(&self.body)));
            }
            self.run.count(1, 0, Instant::now(), std::iter::once(asked));
        }
        Ok(self.asked)
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        let lost = |error: std::io::Error| format!("asking: {error}");
        loop {
            let _ = self.connection.poll_flush(cx).map_err(lost)?;
            if !ready!(self.connection.poll_read(cx).map_err(lost)?) {
                return Poll::Ready(Err("the connection has ended".to_owned()));
            }
            while let Some(event) = self.reader.next(&mut self.connection.read)? {
                match event {
                    http::Event::Head { status } => self.status = status,
                    http::Event::Data(data) => self.body.extend_from_slice(data),
                    http::Event::End => return Poll::Ready(Ok(())),
                }
            }
        }
    }
}
