//! What an expression reads, and what it may not contain, found in its syntax tree.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "enums of the engine, which may grow, and of which few variants concern us"
)]

use minijinja::machinery::ast::{BinOpKind, Call, CallArg, CallType, Expr, Stmt};
use minijinja::machinery::{self, Span as EngineSpan, Token};

use super::reference::{Reference, path_of, place};
use super::{ExprError, blame, engine};
use crate::pipeline::problem::{Code, Span};
use crate::units::Wei;

/// What the text of a scalar is.
pub(super) enum Shape {
    /// No expression in it.
    Literal,
    /// Exactly one expression, between these bytes.
    Whole { from: usize, to: usize },
    /// Anything else.
    Text,
}

/// Names and operators in one expression. Each may put a node around all before it, and whatever
/// walks the tree needs stack for that.
const MAX_WORDS: usize = 500;

/// The shape of a scalar's text.
pub(super) fn text(text: &str) -> Result<Shape, ExprError> {
    if !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
        return Ok(Shape::Literal);
    }
    let tree = parse(text)?;
    let Stmt::Template(template) = &tree else { return Ok(Shape::Text) };
    match template.children.as_slice() {
        [Stmt::EmitExpr(_)] if text.starts_with("{{") && text.ends_with("}}") => {
            let (mut from, mut to) = (2, text.len() - 2);
            if text[from..].starts_with(['-', '+']) {
                from += 1;
            }
            if from < to && text[..to].ends_with(['-', '+']) {
                to -= 1;
            }
            Ok(Shape::Whole { from, to })
        }
        _ => Ok(Shape::Text),
    }
}

/// What a text with expressions reads.
pub(super) fn text_references(text: &str) -> Result<Vec<Reference>, ExprError> {
    let mut walk = Walk::new(text);
    walk.statement(&parse(text)?)?;
    Ok(walk.found)
}

/// What an expression reads.
pub(super) fn expression(source: &str) -> Result<Vec<Reference>, ExprError> {
    within_bounds(source, true)?;
    let tree = machinery::parse_expr(source).map_err(|error| blame::explain_syntax(&error))?;
    let mut walk = Walk::new(source);
    walk.expression(&tree, false)?;
    Ok(walk.found)
}

/// Refuses expressions whose trees would be too deep, before there is a tree.
fn within_bounds(source: &str, in_expression: bool) -> Result<(), ExprError> {
    let mut words = 0_usize;
    for token in machinery::tokenize(source, in_expression, engine::syntax()) {
        let (token, span) = token.map_err(|error| blame::explain_syntax(&error))?;
        match token {
            Token::VariableStart | Token::BlockStart => words = 0,
            Token::Comma
            | Token::Colon
            | Token::Str(_)
            | Token::String(_)
            | Token::Int(_)
            | Token::Int128(_)
            | Token::Float(_) => {}
            _ => words += 1,
        }
        if words > MAX_WORDS {
            let message = format!("more than {MAX_WORDS} names and operators in one expression");
            return Err(ExprError::new(Code::E0313, message)
                .hint("split it, or set parts of it with `{% set %}`")
                .at(place(span)));
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<Stmt<'_>, ExprError> {
    within_bounds(text, false)?;
    machinery::parse(text, engine::TEXT_NAME, engine::syntax())
        .map_err(|error| blame::explain_syntax(&error))
}

/// Names that mean themselves, not something of the scope.
fn is_function(name: &str) -> bool {
    engine::FUNCTIONS.contains(&name)
}

struct Walk<'a> {
    source: &'a str,
    /// Names set by `{% for %}`, `{% set %}` and `{% with %}`, innermost last.
    local: Vec<Vec<&'a str>>,
    found: Vec<Reference>,
}

type Walked = Result<(), ExprError>;

impl<'a> Walk<'a> {
    fn new(source: &'a str) -> Self {
        Self { source, local: vec![Vec::new()], found: Vec::new() }
    }

    fn statement(&mut self, statement: &Stmt<'a>) -> Walked {
        match statement {
            Stmt::Template(it) => self.block(&it.children),
            Stmt::EmitRaw(_) => Ok(()),
            Stmt::EmitExpr(it) => self.expression(&it.expr, false),
            Stmt::ForLoop(it) => {
                self.expression(&it.iter, false)?;
                self.scoped(|walk| {
                    walk.name("loop");
                    walk.target(&it.target)?;
                    it.filter_expr.iter().try_for_each(|e| walk.expression(e, false))?;
                    walk.block(&it.body)
                })?;
                self.block(&it.else_body)
            }
            Stmt::IfCond(it) => {
                self.expression(&it.expr, false)?;
                self.block(&it.true_body)?;
                self.block(&it.false_body)
            }
            Stmt::WithBlock(it) => self.scoped(|walk| {
                for (target, value) in &it.assignments {
                    walk.expression(value, false)?;
                    walk.target(target)?;
                }
                walk.block(&it.body)
            }),
            Stmt::Set(it) => {
                self.expression(&it.expr, false)?;
                self.target(&it.target)
            }
            Stmt::SetBlock(it) => {
                self.scoped(|walk| walk.block(&it.body))?;
                it.filter.iter().try_for_each(|e| self.expression(e, false))?;
                self.target(&it.target)
            }
            Stmt::FilterBlock(it) => {
                self.expression(&it.filter, false)?;
                self.scoped(|walk| walk.block(&it.body))
            }
            Stmt::Do(it) => self.call(&it.call, place(it.span())),
            Stmt::AutoEscape(it) => Err(self.forbidden("autoescape", it.span())),
            Stmt::Block(it) => Err(self.forbidden("block", it.span())),
            Stmt::Import(it) => Err(self.forbidden("import", it.span())),
            Stmt::FromImport(it) => Err(self.forbidden("import", it.span())),
            Stmt::Extends(it) => Err(self.forbidden("extends", it.span())),
            Stmt::Include(it) => Err(self.forbidden("include", it.span())),
            Stmt::Macro(it) => Err(self.forbidden("macro", it.span())),
            Stmt::CallBlock(it) => Err(self.forbidden("call", it.span())),
        }
    }

    fn forbidden(&self, word: &str, span: EngineSpan) -> ExprError {
        // The engine's span may cover a whole block; the word alone is what is wrong.
        let whole = place(span);
        let from = whole.offset.min(self.source.len());
        let around = &self.source[..from];
        let start = around.rfind("{%").unwrap_or(from);
        let at = self.source[start..].find(word).map_or(from, |found| start + found);
        ExprError::new(Code::E0313, format!("`{word}` is not part of the language"))
            .hint("text may use `if`, `for` and `set`; templates of tasks are called with `uses`")
            .at(Span::new(at, word.len()))
    }

    fn block(&mut self, statements: &[Stmt<'a>]) -> Walked {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn scoped(&mut self, inside: impl FnOnce(&mut Self) -> Walked) -> Walked {
        self.local.push(Vec::new());
        let walked = inside(self);
        self.local.pop();
        walked
    }

    fn name(&mut self, name: &'a str) {
        self.local.last_mut().expect("the outermost level stays").push(name);
    }

    fn is_local(&self, name: &str) -> bool {
        self.local.iter().any(|level| level.contains(&name))
    }

    fn target(&mut self, target: &Expr<'a>) -> Walked {
        match target {
            Expr::Var(it) => {
                self.name(it.id);
                Ok(())
            }
            Expr::List(it) => it.items.iter().try_for_each(|item| self.target(item)),
            Expr::Tuple(it) => it.items.iter().try_for_each(|item| self.target(item)),
            Expr::GetAttr(it) => self.expression(&it.expr, false),
            other => self.expression(other, false),
        }
    }

    fn each<'e>(&mut self, expressions: impl IntoIterator<Item = &'e Expr<'a>>) -> Walked
    where
        'a: 'e,
    {
        expressions.into_iter().try_for_each(|expression| self.expression(expression, false))
    }

    fn expression(&mut self, expression: &Expr<'a>, optional: bool) -> Walked {
        match expression {
            Expr::Const(_) => Ok(()),
            Expr::Var(_) => {
                self.read(expression, optional);
                Ok(())
            }
            Expr::GetAttr(it) => {
                if self.read(expression, optional) {
                    return Ok(());
                }
                self.expression(&it.expr, optional)
            }
            Expr::GetItem(it) => {
                if self.read(expression, optional) {
                    return Ok(());
                }
                self.expression(&it.expr, optional)?;
                self.expression(&it.subscript_expr, false)
            }
            Expr::Slice(it) => {
                self.expression(&it.expr, optional)?;
                self.each([&it.start, &it.stop, &it.step].into_iter().flatten())
            }
            Expr::UnaryOp(it) => self.expression(&it.expr, false),
            Expr::BinOp(it) => {
                if matches!(it.op, BinOpKind::Concat) {
                    return Err(self.tilde(place(it.left.span()).end()));
                }
                self.each([&it.left, &it.right])
            }
            Expr::Compare(it) => {
                self.expression(&it.expr, false)?;
                self.each(it.ops.iter().map(|op| &op.expr))
            }
            Expr::IfExpr(it) => {
                self.each([&it.test_expr, &it.true_expr])?;
                self.each(&it.false_expr)
            }
            Expr::Filter(it) => {
                engine::known_filter(it.name)
                    .map_err(|error| error.at(self.word(it.name, place(it.span()))))?;
                let asks = matches!(it.name, "default" | "d");
                it.expr.iter().try_for_each(|e| self.expression(e, asks))?;
                self.arguments(&it.args)
            }
            Expr::Test(it) => {
                engine::known_test(it.name)
                    .map_err(|error| error.at(self.word(it.name, place(it.span()))))?;
                self.expression(&it.expr, matches!(it.name, "defined" | "undefined"))?;
                self.arguments(&it.args)
            }
            Expr::Call(it) => self.call(it, place(it.span())),
            Expr::List(it) => self.each(&it.items),
            Expr::Tuple(it) => self.each(&it.items),
            Expr::Map(it) => self.each(it.keys.iter().chain(&it.values)),
        }
    }

    fn tilde(&self, from: usize) -> ExprError {
        let at = self.source[from.min(self.source.len())..].find('~').map_or(from, |at| from + at);
        ExprError::new(Code::E0313, "`~` is not part of the language")
            .hint("write two expressions side by side: `{{ a }}{{ b }}`")
            .at(Span::new(at, 1))
    }

    /// Where `word` stands last inside `span`: the name of a filter or test.
    fn word(&self, word: &str, span: Span) -> Span {
        let end = span.end().min(self.source.len());
        let piece = self.source.get(span.offset..end).unwrap_or_default();
        let mark = piece.rfind(&format!("|{word}")).map(|at| at + 1);
        let found = mark.or_else(|| piece.rfind(&format!(" {word}")).map(|at| at + 1));
        found
            .or_else(|| piece.find(word))
            .map_or(span, |at| Span::new(span.offset + at, word.len()))
    }

    fn arguments(&mut self, arguments: &[CallArg<'a>]) -> Walked {
        arguments.iter().try_for_each(|argument| match argument {
            CallArg::Pos(e)
            | CallArg::Kwarg(_, e)
            | CallArg::PosSplat(e)
            | CallArg::KwargSplat(e) => self.expression(e, false),
        })
    }

    fn call(&mut self, call: &Call<'a>, span: Span) -> Walked {
        match call.identify_call() {
            CallType::Function(name) if self.is_local(name) => {}
            CallType::Function("env") => self.environment(call),
            CallType::Function("money") => self.amount(call)?,
            CallType::Function(name) if is_function(name) => {}
            CallType::Function(name) => {
                let error = engine::unknown("function", name, engine::FUNCTIONS);
                return Err(error.at(Span::new(span.offset, name.len())));
            }
            CallType::Block(_) => {
                let message = "`self` is not part of the language";
                return Err(ExprError::new(Code::E0313, message).at(span));
            }
            CallType::Method(object, name) => {
                let message = format!("`.{name}(...)` is a call of a method, and values have none");
                let at = place(object.span()).end();
                let width = name.len().saturating_add(1);
                return Err(ExprError::new(Code::E0313, message)
                    .hint(format!("use a filter: `| {name}`"))
                    .at(Span::new(at, width)));
            }
            CallType::Object(object) => self.expression(object, false)?,
        }
        self.arguments(&call.args)
    }

    /// `env('NAME')`, reported as a read of `env.NAME`.
    fn environment(&mut self, call: &Call<'a>) {
        let at = place(call.expr.span());
        let (mut path, mut parts, mut span) = (vec!["env".to_owned()], vec![at], at);
        if let [CallArg::Pos(Expr::Const(name))] = call.args.as_slice()
            && let Some(text) = name.value.as_str()
        {
            let named = place(name.span());
            path.push(text.to_owned());
            parts.push(named);
            span = Span::new(at.offset, named.end().saturating_sub(at.offset));
        }
        self.found.push(Reference { path, span, parts, optional: false });
    }

    /// `money('...')` with a written amount is checked before anything runs.
    fn amount(&self, call: &Call<'a>) -> Walked {
        let [CallArg::Pos(Expr::Const(amount))] = call.args.as_slice() else { return Ok(()) };
        let text = amount.value.as_str().unwrap_or_default();
        match Wei::parse(text) {
            Ok(_) => Ok(()),
            Err(error) => Err(ExprError::new(Code::E0206, error.to_string())
                .hint(error.hint())
                .at(place(amount.span()))),
        }
    }

    /// Notes a path that starts at a name; says whether the expression was one.
    fn read(&mut self, expression: &Expr<'a>, optional: bool) -> bool {
        let Some((path, parts)) = path_of(expression) else { return false };
        if self.is_local(&path[0]) || (path.len() == 1 && is_function(&path[0])) {
            return true;
        }
        let span = Span::new(parts[0].offset, parts[parts.len() - 1].end() - parts[0].offset);
        self.found.push(Reference { path, span, parts, optional });
        true
    }
}
