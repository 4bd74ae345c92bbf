package jenkinsfile

// Pos is a place in a source text. Line and Col count from 1, Col in runes; Offset in bytes from 0. The zero Pos is no place.
type Pos struct {
	Offset, Line, Col int
}

// Span is a stretch of source: from Start up to, not including, End.
type Span struct{ Start, End Pos }

// Node is anything in the tree.
type Node interface{ Span() Span }

// Expr is an expression; Stmt a statement. The sets are closed: the types of this file.
type (
	Expr interface {
		Node
		expr()
	}
	Stmt interface {
		Node
		stmt()
	}
)

// At is embedded by every node and gives its place.
type At struct{ Where Span }

// Span implements Node.
func (a At) Span() Span { return a.Where }

// File is a parsed script: what stands at its top, in order. Methods and classes are hoisted by whoever evaluates it.
type File struct {
	At
	Name    string // for messages: "WorkflowScript", "Jenkinsfile"
	Source  string
	Package string
	Imports []*Import
	Body    []Stmt // includes *MethodDecl and *ClassDecl
}

// Import is one import line. Alias "" is the last segment; Star is `.*`.
type Import struct {
	At
	Annotations []*Annotation
	Name        string // a.b.C (for static: a.b.C.member)
	Alias       string
	Static      bool
	Star        bool
}

// Annotation is @Name(args). A single unnamed argument has the key "value".
type Annotation struct {
	At
	Name string
	Args []*NamedArg
}

// TypeRef is a written type: int, String[], Map<String, List<X>>. Generics are kept as text only.
type TypeRef struct {
	At
	Name     string // a.b.C, int, "" for none (def)
	Generics string
	Dims     int // number of []
}

// Param is a parameter of a method or closure.
type Param struct {
	At
	Annotations []*Annotation
	Modifiers   []string
	Type        *TypeRef // nil when untyped
	Name        string
	Default     Expr // nil when none
	Variadic    bool
}

// Statements.
type (
	// ExprStmt is an expression as a statement. Command reports the form without parentheses: `sh 'x'`.
	ExprStmt struct {
		At
		X      Expr
		Labels []string // `label: stmt`
	}
	// VarDecl declares variables: `def a = 1, b`, `String s`, `def (a, b) = list`, `@Field def x = 1`.
	VarDecl struct {
		At
		Annotations []*Annotation
		Modifiers   []string
		Type        *TypeRef // nil for def
		Vars        []*Var
		Multi       bool // def (a, b) = Init; the Vars' own Init are nil
		Init        Expr // only with Multi
	}
	// Block is { … }.
	Block struct {
		At
		Stmts  []Stmt
		Labels []string
	}
	// If has Else nil, another *If, or any statement.
	If struct {
		At
		Cond Expr
		Then Stmt
		Else Stmt
	}
	While struct {
		At
		Cond   Expr
		Body   Stmt
		Labels []string
	}
	// For is for (init; cond; post). Each part may be empty.
	For struct {
		At
		Init   []Stmt
		Cond   Expr
		Post   []Expr
		Body   Stmt
		Labels []string
	}
	// ForIn is for (x in xs) and for (T x : xs).
	ForIn struct {
		At
		Var    *Param
		In     Expr
		Body   Stmt
		Labels []string
	}
	Switch struct {
		At
		Tag    Expr
		Cases  []*Case // in order; the default has Value nil
		Labels []string
	}
	Try struct {
		At
		Body    *Block
		Catches []*Catch
		Finally *Block // nil when none
	}
	Throw struct {
		At
		X Expr
	}
	Return struct {
		At
		X Expr // nil when none
	}
	Break struct {
		At
		Label string
	}
	Continue struct {
		At
		Label string
	}
	Assert struct {
		At
		Cond    Expr
		Message Expr // nil when none
	}
	// Synchronized is synchronized (lock) { … }; it is evaluated as its body.
	Synchronized struct {
		At
		Lock Expr
		Body *Block
	}
	// MethodDecl is a method of the script or of a class. A constructor has the class's name and Constructor set.
	MethodDecl struct {
		At
		Annotations []*Annotation
		Modifiers   []string
		Return      *TypeRef // nil for def
		Name        string
		Params      []*Param
		Throws      []*TypeRef
		Body        *Block // nil when abstract
		Constructor bool
	}
	// ClassDecl is a class, interface, enum, trait or annotation type.
	ClassDecl struct {
		At
		Annotations []*Annotation
		Modifiers   []string
		Kind        string // class, interface, enum, trait, @interface
		Name        string
		Extends     *TypeRef
		Implements  []*TypeRef
		Constants   []*EnumConst // enum
		Members     []Stmt       // *VarDecl (fields, properties), *MethodDecl, *ClassDecl, *Block (initialiser; Labels "static")
	}
)

// Var is one name of a VarDecl.
type Var struct {
	At
	Type *TypeRef // inside `def (int a, b)`
	Name string
	Init Expr // nil when none
}

// Case is one arm of a switch.
type Case struct {
	At
	Value Expr // nil for default
	Body  []Stmt
}

// Catch is one catch clause. Types is empty for `catch (e)`.
type Catch struct {
	At
	Types []*TypeRef
	Name  string
	Body  *Block
}

// EnumConst is one constant of an enum.
type EnumConst struct {
	At
	Name string
	Args []Expr
	Body []Stmt
}

// NamedArg is `key: value` in arguments, a map literal or an annotation. Key is *Lit for a plain word or literal.
type NamedArg struct {
	At
	Key   Expr
	Value Expr
	// Spread is `*: map`: Key is nil.
	Spread bool
}

// Expressions.
type (
	// Lit is a constant; Kind says which, Value holds it.
	Lit struct {
		At
		Kind  LitKind
		Value any    // nil, bool, int64 (Int, Long), *big.Int, string (Decimal text without suffix, String), float64 (Float, Double)
		Raw   string // as written
	}
	// GString is an interpolated string: Strings has one element more than Exprs.
	GString struct {
		At
		Strings []string
		Exprs   []Expr // a *Closure here is `${-> x}`
		Lazy    []bool // Exprs[i] is `${-> x}`
	}
	Ident struct {
		At
		Name string // also this, super
	}
	// Property is a.b, a?.b, a*.b, a.@b, a.&b (method pointer), a."$name".
	Property struct {
		At
		X      Expr
		Name   Expr // *Lit String for a plain name
		Safe   bool
		Spread bool
		Field  bool // .@
		Method bool // .&
	}
	// Index is a[i, j].
	Index struct {
		At
		X    Expr
		Args []Expr
	}
	// Call is every call. Recv nil: a call by name on the script (`sh 'x'`, `f(1)`), then Name is the name; otherwise
	// `Recv.Name(args)`. With Direct, Recv itself is called: `f(1)(2)`, `{ … }()`.
	// Named, Args and the trailing closures stand apart: a trailing closure is the last of Args and Trailing is how many are.
	Call struct {
		At
		Recv     Expr
		Name     Expr // *Lit String for a plain name; nil with Direct
		Safe     bool
		Spread   bool
		Direct   bool
		Named    []*NamedArg
		Args     []Expr
		Trailing int
		Command  bool // written without parentheses
	}
	// Spread is *list among arguments or list elements.
	Spread struct {
		At
		X Expr
	}
	New struct {
		At
		Type  *TypeRef
		Named []*NamedArg
		Args  []Expr
		Dims  []Expr // array sizes: new int[3]; then Args is empty
		Body  []Stmt // anonymous class
	}
	// Unary is ! - + ~ ++ -- (prefix), and ++ -- with Postfix.
	Unary struct {
		At
		Op      string
		X       Expr
		Postfix bool
	}
	// Binary has every infix operator but assignment: || && | ^ & == != === !== <=> =~ ==~ < <= > >= in !in << >> >>> .. ..< + - * / % **
	Binary struct {
		At
		Op   string
		X, Y Expr
	}
	// Assign is = and op=. With Multi the target is a *List of *Ident: (a, b) = x.
	Assign struct {
		At
		Op    string // =, +=, -=, *=, /=, %=, **=, <<=, >>=, >>>=, &=, |=, ^=
		X, Y  Expr
		Multi bool
	}
	// InstanceOf is x instanceof T; Cast is (T) x; As is x as T.
	InstanceOf struct {
		At
		X    Expr
		Type *TypeRef
	}
	Cast struct {
		At
		Type *TypeRef
		X    Expr
	}
	As struct {
		At
		X    Expr
		Type *TypeRef
	}
	// Ternary is c ? a : b; Then nil is the elvis c ?: b.
	Ternary struct {
		At
		Cond, Then, Else Expr
	}
	List struct {
		At
		Elems []Expr
	}
	// Map is [a: 1], [:]. A key that is an expression in parentheses is kept as that expression.
	Map struct {
		At
		Entries []*NamedArg
	}
	// Closure is { a, b -> … }. NoParams reports that there is no arrow: `it` is implied. With an arrow and no names it takes none.
	Closure struct {
		At
		Params   []*Param
		NoParams bool
		Body     *Block
	}
	// ClassLit is a type used as a value where the parser can tell: int.class, String[].
	ClassLit struct {
		At
		Type *TypeRef
	}
	// Paren keeps parentheses: they matter to messages and to (x) as a statement.
	Paren struct {
		At
		X Expr
	}
)

// LitKind tells literals apart.
type LitKind uint8

const (
	Null LitKind = iota
	Bool
	Int
	Long
	BigInt
	Decimal // java.math.BigDecimal
	Float
	Double
	String
)

func (*ExprStmt) stmt()     {}
func (*VarDecl) stmt()      {}
func (*Block) stmt()        {}
func (*If) stmt()           {}
func (*While) stmt()        {}
func (*For) stmt()          {}
func (*ForIn) stmt()        {}
func (*Switch) stmt()       {}
func (*Try) stmt()          {}
func (*Throw) stmt()        {}
func (*Return) stmt()       {}
func (*Break) stmt()        {}
func (*Continue) stmt()     {}
func (*Assert) stmt()       {}
func (*Synchronized) stmt() {}
func (*MethodDecl) stmt()   {}
func (*ClassDecl) stmt()    {}

func (*Lit) expr()        {}
func (*GString) expr()    {}
func (*Ident) expr()      {}
func (*Property) expr()   {}
func (*Index) expr()      {}
func (*Call) expr()       {}
func (*Spread) expr()     {}
func (*New) expr()        {}
func (*Unary) expr()      {}
func (*Binary) expr()     {}
func (*Assign) expr()     {}
func (*InstanceOf) expr() {}
func (*Cast) expr()       {}
func (*As) expr()         {}
func (*Ternary) expr()    {}
func (*List) expr()       {}
func (*Map) expr()        {}
func (*Closure) expr()    {}
func (*ClassLit) expr()   {}
func (*Paren) expr()      {}
