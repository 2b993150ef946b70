//! The stack machine. Every opcode either pushes plain data, arranges what is on the stack, or is refused.
use super::{
    text,
    value::{Limits, Node, NodeId, Pickle, PickleError, Problem},
};

/// The whole list of names. The first two become objects, the others are data in disguise (old protocols write sets and bytes so).
const NAMES: [&str; 11] = [
    "pygtrie.StringTrie",
    "pygtrie._Node",
    "_codecs.encode",
    "builtins.set",
    "builtins.frozenset",
    "builtins.object",
    "__builtin__.set",
    "__builtin__.frozenset",
    "__builtin__.object",
    "copyreg._reconstructor",
    "copy_reg._reconstructor",
];

impl Pickle {
    /// Reads one pickle; bytes after its end are ignored, as Python does.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, PickleError> {
        if bytes.len() as u64 > limits.bytes {
            return Err(PickleError { offset: 0, problem: Problem::TooLarge("bytes") });
        }
        let mut machine = Machine {
            bytes,
            at: 0,
            limits,
            used: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Vec::new(),
        };
        loop {
            let offset = machine.at as u64;
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => return Ok(Self { nodes: machine.nodes, root }),
                Err(problem) => return Err(PickleError { offset, problem }),
            }
        }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    limits: &'a Limits,
    /// Nodes and elements so far.
    used: usize,
    nodes: Vec<Node>,
    stack: Vec<NodeId>,
    marks: Vec<usize>,
    memo: Vec<Option<NodeId>>,
}

type Step<T> = Result<T, Problem>;
const STACK: Problem = Problem::Broken("an opcode that does not fit to the values before it");

impl<'a> Machine<'a> {
    /// One opcode. Returns the root at the end.
    fn step(&mut self) -> Step<Option<NodeId>> {
        match self.take(1)?[0] {
            b'.' => return self.pop().map(Some),
            0x80 if self.take(1)?[0] > 5 => return Err(Problem::Broken("a protocol above 5")),
            0x80 => {}
            0x95 => drop(self.take(8)?),
            b'(' => {
                if self.marks.len() >= self.limits.marks {
                    return Err(Problem::TooLarge("marks"));
                }
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = *self.stack.last().ok_or(STACK)?;
                self.stack.push(top);
            }
            b'N' => self.push(Node::None)?,
            0x88 => self.push(Node::Bool(true))?,
            0x89 => self.push(Node::Bool(false))?,
            opcode @ (b'J' | b'K' | b'M' | 0x8a | 0x8b | b'I' | b'L' | b'F' | b'G') => {
                let number = self.number(opcode)?;
                self.push(number)?;
            }
            opcode @ (b'S' | b'T' | b'U' | b'V' | b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96) => {
                let text = self.text(opcode)?;
                self.push(text)?;
            }
            b']' => self.push(Node::List(Vec::new()))?,
            b')' => self.push(Node::Tuple(Vec::new()))?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            0x8f => self.push(Node::Set(Vec::new()))?,
            b'l' => self.collect_mark(Node::List)?,
            b't' => self.collect_mark(Node::Tuple)?,
            0x91 => self.collect_mark(Node::Set)?,
            b'd' => {
                let items = self.pop_mark()?;
                let pairs = pairs(&items)?;
                self.push(Node::Dict(pairs))?;
            }
            opcode @ 0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let start = self.floor().max(self.stack.len().saturating_sub(count));
                if self.stack.len() - start < count {
                    return Err(STACK);
                }
                let items = self.stack.split_off(start);
                self.push(Node::Tuple(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(&[item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.extend(&items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)?;
            }
            opcode @ (b'p' | b'q' | b'r' | 0x94) => self.remember(opcode)?,
            opcode @ (b'g' | b'h' | b'j') => {
                let place = self.place(opcode)?;
                let id = self.memo.get(place).copied().flatten().ok_or(Problem::Broken("an empty memo"))?;
                self.stack.push(id);
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                let name = format!("{}.{}", String::from_utf8_lossy(module), String::from_utf8_lossy(name));
                self.global(&name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Node::Str(name), Node::Str(module)) = (self.node(name), self.node(module)) else {
                    return Err(STACK);
                };
                let name = format!("{module}.{name}");
                self.global(&name)?;
            }
            b'R' => self.reduce()?,
            0x81 => {
                let (arguments, class) = (self.pop()?, self.pop()?);
                match (self.node(class), self.node(arguments)) {
                    (&Node::Global(class), Node::Tuple(items))
                        if class.starts_with("pygtrie.") && items.is_empty() =>
                    {
                        self.push(Node::Object { class: class.into(), state: None })?;
                    }
                    _ => return Err(STACK),
                }
            }
            b'b' => {
                let state = self.pop()?;
                let target = self.top()?;
                match &mut self.nodes[target as usize] {
                    Node::Object { state: slot @ None, .. } => *slot = Some(state),
                    _ => return Err(STACK),
                }
            }
            opcode => return Err(Problem::Opcode(opcode)),
        }
        Ok(None)
    }

    fn take(&mut self, count: usize) -> Step<&'a [u8]> {
        let end =
            self.at.checked_add(count).filter(|&end| end <= self.bytes.len()).ok_or(Problem::Truncated)?;
        let bytes = &self.bytes[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    /// A little-endian number of `count` bytes (8 at most).
    fn little(&mut self, count: usize) -> Step<u64> {
        Ok(self.take(count)?.iter().rev().fold(0, |n, &byte| (n << 8) | u64::from(byte)))
    }

    fn line(&mut self) -> Step<&'a [u8]> {
        let length =
            self.bytes[self.at..].iter().position(|&byte| byte == b'\n').ok_or(Problem::Truncated)?;
        let line = self.take(length)?;
        self.take(1)?;
        Ok(line)
    }

    fn counted(&mut self, width: usize) -> Step<&'a [u8]> {
        let length = self.little(width)?;
        self.take(usize::try_from(length).map_err(|_| Problem::Truncated)?)
    }

    fn number(&mut self, opcode: u8) -> Step<Node> {
        let bad = || Problem::Broken("a number that is none");
        let ascii = |line: &'a [u8]| std::str::from_utf8(line).map(str::trim).map_err(|_| bad());
        Ok(match opcode {
            b'J' => Node::Int(i64::from(self.little(4)? as u32 as i32)),
            b'K' => Node::Int(self.little(1)? as i64),
            b'M' => Node::Int(self.little(2)? as i64),
            b'G' => Node::Float(f64::from_bits(self.little(8)?.swap_bytes())),
            b'F' => Node::Float(ascii(self.line()?)?.parse().map_err(|_| bad())?),
            b'I' => match ascii(self.line()?)? {
                "00" => Node::Bool(false),
                "01" => Node::Bool(true),
                digits => Node::Int(digits.parse().map_err(|_| bad())?),
            },
            b'L' => Node::Int(ascii(self.line()?)?.trim_end_matches('L').parse().map_err(|_| bad())?),
            _ => {
                let bytes = self.counted(if opcode == 0x8a { 1 } else { 4 })?;
                if bytes.len() > 8 {
                    return Ok(Node::BigInt(bytes.to_vec()));
                }
                let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
                let mut wide = [fill; 8];
                wide[..bytes.len()].copy_from_slice(bytes);
                Node::Int(i64::from_le_bytes(wide))
            }
        })
    }

    fn text(&mut self, opcode: u8) -> Step<Node> {
        let bad = || Problem::Broken("text that is none");
        let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map(Node::Str).map_err(|_| bad());
        let latin = |bytes: &[u8]| Node::Str(bytes.iter().map(|&byte| byte as char).collect());
        Ok(match opcode {
            b'S' => Node::Str(text::quoted(self.line()?).ok_or_else(bad)?),
            b'V' => Node::Str(text::raw_unicode(self.line()?).ok_or_else(bad)?),
            b'T' => latin(self.counted(4)?),
            b'U' => latin(self.counted(1)?),
            b'X' => utf8(self.counted(4)?)?,
            0x8c => utf8(self.counted(1)?)?,
            0x8d => utf8(self.counted(8)?)?,
            b'B' => Node::Bytes(self.counted(4)?.to_vec()),
            b'C' => Node::Bytes(self.counted(1)?.to_vec()),
            _ => Node::Bytes(self.counted(8)?.to_vec()),
        })
    }

    fn charge(&mut self, count: usize) -> Step<()> {
        self.used = self.used.saturating_add(count);
        if self.used > self.limits.nodes { Err(Problem::TooLarge("values")) } else { Ok(()) }
    }

    fn push(&mut self, node: Node) -> Step<()> {
        self.charge(1)?;
        let id = NodeId::try_from(self.nodes.len()).map_err(|_| Problem::TooLarge("values"))?;
        self.nodes.push(node);
        self.stack.push(id);
        Ok(())
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// Values below the last mark are out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Step<NodeId> {
        if self.stack.len() <= self.floor() {
            return Err(STACK);
        }
        self.stack.pop().ok_or(STACK)
    }

    fn top(&self) -> Step<NodeId> {
        if self.stack.len() <= self.floor() { Err(STACK) } else { self.stack.last().copied().ok_or(STACK) }
    }

    fn pop_mark(&mut self) -> Step<Vec<NodeId>> {
        let mark = self.marks.pop().ok_or(STACK)?;
        Ok(self.stack.split_off(mark))
    }

    fn collect_mark(&mut self, make: impl Fn(Vec<NodeId>) -> Node) -> Step<()> {
        let items = self.pop_mark()?;
        self.charge(items.len())?;
        self.push(make(items))
    }

    fn extend(&mut self, items: &[NodeId]) -> Step<()> {
        self.charge(items.len())?;
        let target = self.top()?;
        match &mut self.nodes[target as usize] {
            Node::List(list) | Node::Set(list) => list.extend_from_slice(items),
            _ => return Err(STACK),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[NodeId]) -> Step<()> {
        self.charge(items.len())?;
        let new = pairs(items)?;
        let target = self.top()?;
        match &mut self.nodes[target as usize] {
            Node::Dict(entries) => entries.extend(new),
            _ => return Err(STACK),
        }
        Ok(())
    }

    fn place(&mut self, opcode: u8) -> Step<usize> {
        Ok(match opcode {
            b'p' | b'g' => {
                let line = std::str::from_utf8(self.line()?).ok();
                line.and_then(|text| text.trim().parse().ok())
                    .ok_or(Problem::Broken("a memo number that is none"))?
            }
            b'q' | b'h' => self.little(1)? as usize,
            b'r' | b'j' => self.little(4)? as usize,
            _ => self.memo.len(),
        })
    }

    fn remember(&mut self, opcode: u8) -> Step<()> {
        let place = self.place(opcode)?;
        let id = self.top()?;
        // Writers number the memo without gaps; a far number would be a cheap way to ask for much memory.
        if place > self.nodes.len().max(self.memo.len()) + 1024 {
            return Err(Problem::TooLarge("memo places"));
        }
        if place >= self.memo.len() {
            self.memo.resize(place + 1, None);
        }
        self.memo[place] = Some(id);
        Ok(())
    }

    fn global(&mut self, name: &str) -> Step<()> {
        match NAMES.iter().find(|&&known| known == name) {
            Some(known) => self.push(Node::Global(known)),
            None => Err(Problem::Forbidden(name.chars().take(200).collect())),
        }
    }

    /// The few calls that are data in disguise.
    fn reduce(&mut self) -> Step<()> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let (&Node::Global(callee), Node::Tuple(items)) = (self.node(callee), self.node(arguments)) else {
            return Err(STACK);
        };
        let parts: Vec<&Node> = items.iter().map(|&id| self.node(id)).collect();
        let made = match (callee, &parts[..]) {
            ("_codecs.encode", [Node::Str(text), Node::Str(codec)]) if codec.starts_with("latin") => {
                let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
                Node::Bytes(bytes.map_err(|_| Problem::Broken("text that is none"))?)
            }
            (
                "builtins.set" | "builtins.frozenset" | "__builtin__.set" | "__builtin__.frozenset",
                [Node::List(list)],
            ) => Node::Set(list.clone()),
            (
                "copyreg._reconstructor" | "copy_reg._reconstructor",
                [Node::Global(class), Node::Global(base), Node::None],
            ) if class.starts_with("pygtrie.") && base.ends_with(".object") => {
                Node::Object { class: (*class).into(), state: None }
            }
            _ => return Err(Problem::Forbidden(format!("{callee}(…)"))),
        };
        if let Node::Set(list) = &made {
            self.charge(list.len())?;
        }
        self.push(made)
    }
}

fn pairs(items: &[NodeId]) -> Step<Vec<(NodeId, NodeId)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    if rest.is_empty() { Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()) } else { Err(STACK) }
}
