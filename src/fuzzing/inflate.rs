//! DEFLATE (RFC 1951) a byte of input at a time: each byte gives what can be known by then. Written from the RFC, and shares
//! nothing with the engine that it is compared with. Included by the tests as well.
#![allow(dead_code, reason = "a test that includes this file may need less of it")]

/// A stream, and all that came out of it.
pub struct Plain {
    pub history: Vec<u8>,
    /// Input from the first byte that is not used up, and how many of its bits are.
    input: Vec<u8>,
    at: usize,
    last: bool,
    place: Place,
}

/// What comes next.
#[allow(clippy::large_enum_variant, reason = "there is one")]
enum Place {
    Header,
    Stored(usize),
    Codes(Code, Code),
}

/// Why nothing comes out.
enum Stop {
    Short,
    Bad,
}

/// A canonical code (3.2.2): how many words of each length, and their symbols in order.
struct Code {
    count: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    /// `None` if there are too many words, or too few of a code that has more than one (3.2.7).
    fn new(lengths: &[usize]) -> Option<Self> {
        let mut count = [0; 16];
        lengths.iter().for_each(|&length| count[length] += 1);
        count[0] = 0;
        let mut left = 1_i64;
        for words in &count[1..] {
            left = left * 2 - *words as i64;
            if left < 0 {
                return None;
            }
        }
        if left > 0 && (2..16).any(|length| count[length] > 0) {
            return None;
        }
        let symbols =
            (1..16).flat_map(|length| (0..lengths.len()).filter(move |&symbol| lengths[symbol] == length));
        Some(Self { count, symbols: symbols.collect() })
    }

    fn is_complete(&self) -> bool {
        (1..16).map(|length| self.count[length] << (15 - length)).sum::<usize>() == 1 << 15
    }
}

impl Plain {
    pub fn new() -> Self {
        Self { history: Vec::new(), input: Vec::new(), at: 0, last: false, place: Place::Header }
    }

    /// What one more byte stands for, and whether there is a fault behind that.
    pub fn byte(&mut self, byte: u8) -> (Vec<u8>, bool) {
        let before = self.history.len();
        self.input.push(byte);
        let is_bad = loop {
            let at = self.at;
            match self.unit() {
                Ok(()) => {
                    self.input.drain(..self.at / 8);
                    self.at %= 8;
                }
                Err(Stop::Short) => {
                    self.at = at;
                    break false;
                }
                Err(Stop::Bad) => break true,
            }
        };
        (self.history[before..].to_vec(), is_bad)
    }

    /// Another stream begins, with the same window.
    pub fn restart(&mut self) {
        (self.input, self.at, self.last, self.place) = (Vec::new(), 0, false, Place::Header);
    }

    /// The header of a block, a stored byte, a literal or a match.
    fn unit(&mut self) -> Result<(), Stop> {
        match self.place {
            Place::Header => self.header(),
            Place::Stored(0) => {
                self.end();
                Ok(())
            }
            Place::Stored(left) => {
                let byte = self.bits(8)? as u8;
                self.history.push(byte);
                self.place = Place::Stored(left - 1);
                Ok(())
            }
            Place::Codes(..) => self.symbol_or_match(),
        }
    }

    /// A block is over. After the last the stream ends with its byte, and another may begin.
    fn end(&mut self) {
        if self.last {
            self.at = self.at.next_multiple_of(8);
        }
        self.place = Place::Header;
    }

    fn bits(&mut self, count: usize) -> Result<usize, Stop> {
        let mut value = 0;
        for place in 0..count {
            let byte = self.input.get(self.at / 8).ok_or(Stop::Short)?;
            value |= usize::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Ok(value)
    }

    /// 3.2.3.
    fn header(&mut self) -> Result<(), Stop> {
        let last = self.bits(1)? == 1;
        let place = match self.bits(2)? {
            0 => {
                self.at = self.at.next_multiple_of(8);
                let (length, complement) = (self.bits(16)?, self.bits(16)?);
                if length ^ complement != 0xffff {
                    return Err(Stop::Bad);
                }
                Place::Stored(length)
            }
            1 => {
                let lengths: Vec<_> = (0..288)
                    .map(|symbol| match symbol {
                        0..144 => 8,
                        144..256 => 9,
                        256..280 => 7,
                        _ => 8,
                    })
                    .collect();
                let (literals, distances) = (Code::new(&lengths), Code::new(&[5; 32]));
                Place::Codes(literals.ok_or(Stop::Bad)?, distances.ok_or(Stop::Bad)?)
            }
            2 => self.dynamic()?,
            _ => return Err(Stop::Bad),
        };
        (self.last, self.place) = (last, place);
        Ok(())
    }

    /// 3.2.7.
    fn dynamic(&mut self) -> Result<Place, Stop> {
        let (literals, distances, codes) = (self.bits(5)? + 257, self.bits(5)? + 1, self.bits(4)? + 4);
        if literals > 286 || distances > 30 {
            return Err(Stop::Bad);
        }
        let mut lengths = vec![0; 19];
        for place in
            [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15].into_iter().take(codes)
        {
            lengths[place] = self.bits(3)?;
        }
        if lengths.iter().all(|&length| length == 0) {
            // The codec takes that for words of one bit that say 0, and so sees behind them that no word ends a block.
            for _ in 0..literals + distances {
                self.bits(1)?;
            }
            return Err(Stop::Bad);
        }
        let code = Code::new(&lengths).filter(Code::is_complete).ok_or(Stop::Bad)?;
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            match self.symbol(&code)? {
                16 => {
                    let times = 3 + self.bits(2)?;
                    let before = *lengths.last().ok_or(Stop::Bad)?;
                    lengths.extend(vec![before; times]);
                }
                17 => lengths.extend(vec![0; 3 + self.bits(3)?]),
                18 => lengths.extend(vec![0; 11 + self.bits(7)?]),
                length => lengths.push(length),
            }
        }
        if lengths.len() > literals + distances || lengths[256] == 0 {
            return Err(Stop::Bad);
        }
        let distances = Code::new(&lengths.split_off(literals)).ok_or(Stop::Bad)?;
        Ok(Place::Codes(Code::new(&lengths).ok_or(Stop::Bad)?, distances))
    }

    fn symbol(&mut self, code: &Code) -> Result<usize, Stop> {
        let (mut word, mut first, mut index) = (0, 0, 0);
        for length in 1..16 {
            // No longer word begins with these bits.
            if code.count[length..].iter().all(|&words| words == 0) {
                break;
            }
            word = word << 1 | self.bits(1)?;
            if word - first < code.count[length] {
                return Ok(code.symbols[index + word - first]);
            }
            index += code.count[length];
            first = (first + code.count[length]) << 1;
        }
        Err(Stop::Bad)
    }

    /// 3.2.5.
    fn symbol_or_match(&mut self) -> Result<(), Stop> {
        let Place::Codes(literals, distances) = core::mem::replace(&mut self.place, Place::Header) else {
            return Ok(());
        };
        let done = self.literal_or_match(&literals, &distances);
        if !matches!(done, Ok(true)) {
            self.place = Place::Codes(literals, distances);
        }
        match done {
            Ok(true) => self.end(),
            Ok(false) => {}
            Err(stop) => return Err(stop),
        }
        Ok(())
    }

    /// Whether the block has ended.
    fn literal_or_match(&mut self, literals: &Code, distances: &Code) -> Result<bool, Stop> {
        const LENGTHS: [(usize, usize); 29] = [
            (3, 0),
            (4, 0),
            (5, 0),
            (6, 0),
            (7, 0),
            (8, 0),
            (9, 0),
            (10, 0),
            (11, 1),
            (13, 1),
            (15, 1),
            (17, 1),
            (19, 2),
            (23, 2),
            (27, 2),
            (31, 2),
            (35, 3),
            (43, 3),
            (51, 3),
            (59, 3),
            (67, 4),
            (83, 4),
            (99, 4),
            (115, 4),
            (131, 5),
            (163, 5),
            (195, 5),
            (227, 5),
            (258, 0),
        ];
        const DISTANCES: [(usize, usize); 30] = [
            (1, 0),
            (2, 0),
            (3, 0),
            (4, 0),
            (5, 1),
            (7, 1),
            (9, 2),
            (13, 2),
            (17, 3),
            (25, 3),
            (33, 4),
            (49, 4),
            (65, 5),
            (97, 5),
            (129, 6),
            (193, 6),
            (257, 7),
            (385, 7),
            (513, 8),
            (769, 8),
            (1025, 9),
            (1537, 9),
            (2049, 10),
            (3073, 10),
            (4097, 11),
            (6145, 11),
            (8193, 12),
            (12_289, 12),
            (16_385, 13),
            (24_577, 13),
        ];
        let symbol = self.symbol(literals)?;
        match symbol {
            0..256 => {
                self.history.push(symbol as u8);
                return Ok(false);
            }
            256 => return Ok(true),
            _ => {}
        }
        let &(length, extra) = LENGTHS.get(symbol - 257).ok_or(Stop::Bad)?;
        let length = length + self.bits(extra)?;
        let &(distance, extra) = DISTANCES.get(self.symbol(distances)?).ok_or(Stop::Bad)?;
        let distance = distance + self.bits(extra)?;
        if distance > self.history.len() {
            return Err(Stop::Bad);
        }
        for _ in 0..length {
            self.history.push(self.history[self.history.len() - distance]);
        }
        Ok(false)
    }
}
