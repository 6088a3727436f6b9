//! Outputs of providers on stdout: as they are in a pipe or a file, harmless on a terminal.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use crate::units::Untrusted;

/// Where results are written that were asked for on stdout.
pub(super) fn stdout() -> Screen<StdoutLock<'static>> {
    let stdout = io::stdout();
    let shows = stdout.is_terminal();
    Screen::new(stdout.lock(), shows)
}

/// A writer that keeps a terminal from obeying what it shows: hidden characters appear as escapes.
pub(super) struct Screen<W: Write> {
    out: BufWriter<W>,
    /// The line so far, where a terminal shows it.
    line: Option<Vec<u8>>,
}

impl<W: Write> Screen<W> {
    fn new(out: W, shows: bool) -> Self {
        Self { out: BufWriter::new(out), line: shows.then(Vec::new) }
    }

    fn show(&mut self) -> io::Result<()> {
        let Some(line) = &mut self.line else { return Ok(()) };
        let text = Untrusted::from(String::from_utf8_lossy(line).into_owned()).escaped();
        line.clear();
        self.out.write_all(text.as_bytes())
    }
}

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(line) = &mut self.line else { return self.out.write(bytes) };
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            line.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        line.extend_from_slice(&bytes[..end]);
        self.show()?;
        self.out.write_all(b"\n")?;
        Ok(end + 1)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.show()?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(shows: bool, parts: &[&[u8]]) -> String {
        let mut bytes = Vec::new();
        let mut screen = Screen::new(&mut bytes, shows);
        parts.iter().for_each(|part| screen.write_all(part).unwrap());
        screen.flush().unwrap();
        drop(screen);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_terminal_gets_escapes_and_a_pipe_what_was_written() {
        let text = "a\u{1b}]0;x\u{7}\u{9b}2J,é\nb\u{202e}c";
        let [first, rest] = [&text.as_bytes()[..9], &text.as_bytes()[9..]];
        assert_eq!(shown(false, &[first, rest]), text);
        let harmless = "a\\u{1b}]0;x\\u{7}\\u{9b}2J,é\nb\\u{202e}c";
        assert_eq!(shown(true, &[first, rest]), harmless);
    }
}
