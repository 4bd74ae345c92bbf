package jenkinsfile

// kind is the kind of a token.
type kind uint8

const (
	tEOF     kind = iota
	tError        // something that is no token; text is the message
	tNewline      // one or more newlines that mean something
	tIdent
	tString    // a whole string without parts; text is its value
	tStrStart  // the first piece of a string with parts; text is its value
	tStrMiddle // a piece between two parts
	tStrEnd    // the last piece
	tInt
	tDecimal
	// Punctuation and operators.
	tLParen
	tRParen
	tLBrack
	tRBrack
	tLBrace
	tRBrace
	tComma
	tSemi
	tColon
	tQuestion
	tElvis
	tDot
	tSpreadDot
	tSafeDot
	tMethodDot
	tEllipsis
	tAt
	tArrow
	tAssign   // =
	tOpAssign // += and its kind; text is the operator
	tNot
	tTilde
	tInc
	tDec
	tPlus
	tMinus
	tStar
	tSlash
	tPercent
	tPower
	tShl
	tShr
	tUshr
	tRange
	tRangeEx
	tLt
	tGt
	tLe
	tGe
	tEq
	tNe
	tSame
	tNotSame
	tCompare
	tFind
	tMatch
	tAmp
	tCaret
	tPipe
	tAndAnd
	tOrOr
	// Keywords: all of keywordsFirst … keywordsLast are words.
	kAbstract
	kAs
	kAssert
	kBoolean
	kBreak
	kByte
	kCase
	kCatch
	kChar
	kClass
	kConst
	kContinue
	kDef
	kDefault
	kDo
	kDouble
	kElse
	kEnum
	kExtends
	kFalse
	kFinal
	kFinally
	kFloat
	kFor
	kGoto
	kIf
	kImplements
	kImport
	kIn
	kInstanceof
	kInt
	kInterface
	kLong
	kNative
	kNew
	kNull
	kPackage
	kPrivate
	kProtected
	kPublic
	kReturn
	kShort
	kStatic
	kStrictfp
	kSuper
	kSwitch
	kSynchronized
	kThis
	kThreadsafe
	kThrow
	kThrows
	kTrait
	kTransient
	kTrue
	kTry
	kVoid
	kVolatile
	kWhile
)

const (
	keywordsFirst = kAbstract
	keywordsLast  = kWhile
)

// keyword returns the keyword that a word is, or tIdent.
func keyword(word string) kind {
	if len(word) < 2 || len(word) > 12 || word[0] < 'a' || word[0] > 'w' {
		return tIdent
	}
	switch word {
	case "abstract":
		return kAbstract
	case "as":
		return kAs
	case "assert":
		return kAssert
	case "boolean":
		return kBoolean
	case "break":
		return kBreak
	case "byte":
		return kByte
	case "case":
		return kCase
	case "catch":
		return kCatch
	case "char":
		return kChar
	case "class":
		return kClass
	case "const":
		return kConst
	case "continue":
		return kContinue
	case "def":
		return kDef
	case "default":
		return kDefault
	case "do":
		return kDo
	case "double":
		return kDouble
	case "else":
		return kElse
	case "enum":
		return kEnum
	case "extends":
		return kExtends
	case "false":
		return kFalse
	case "final":
		return kFinal
	case "finally":
		return kFinally
	case "float":
		return kFloat
	case "for":
		return kFor
	case "goto":
		return kGoto
	case "if":
		return kIf
	case "implements":
		return kImplements
	case "import":
		return kImport
	case "in":
		return kIn
	case "instanceof":
		return kInstanceof
	case "int":
		return kInt
	case "interface":
		return kInterface
	case "long":
		return kLong
	case "native":
		return kNative
	case "new":
		return kNew
	case "null":
		return kNull
	case "package":
		return kPackage
	case "private":
		return kPrivate
	case "protected":
		return kProtected
	case "public":
		return kPublic
	case "return":
		return kReturn
	case "short":
		return kShort
	case "static":
		return kStatic
	case "strictfp":
		return kStrictfp
	case "super":
		return kSuper
	case "switch":
		return kSwitch
	case "synchronized":
		return kSynchronized
	case "this":
		return kThis
	case "threadsafe":
		return kThreadsafe
	case "throw":
		return kThrow
	case "throws":
		return kThrows
	case "trait":
		return kTrait
	case "transient":
		return kTransient
	case "true":
		return kTrue
	case "try":
		return kTry
	case "void":
		return kVoid
	case "volatile":
		return kVolatile
	case "while":
		return kWhile
	}
	return tIdent
}

func (k kind) isKeyword() bool { return k >= keywordsFirst && k <= keywordsLast }

// isModifier reports whether k is one of the words that may precede a declaration, def apart.
func (k kind) isModifier() bool {
	switch k {
	case kPrivate, kPublic, kProtected, kStatic, kTransient, kFinal, kAbstract, kNative, kThreadsafe, kSynchronized, kVolatile, kStrictfp:
		return true
	}
	return false
}

// isBuiltin reports whether k is a primitive type or void.
func (k kind) isBuiltin() bool {
	switch k {
	case kVoid, kBoolean, kByte, kChar, kShort, kInt, kFloat, kLong, kDouble:
		return true
	}
	return false
}

// isNameKeyword reports whether k is a keyword that may stand after a dot and as a label of an argument.
func (k kind) isNameKeyword() bool { return k.isKeyword() }

// endsExpression reports whether a slash after k divides, rather than starting a string.
func (k kind) endsExpression() bool {
	switch k {
	case tInc, tDec, tRParen, tRBrack, tRBrace, tString, tStrEnd, tInt, tDecimal, tIdent:
		return true
	case kAbstract, kConst, kDo, kFinal, kGoto, kStrictfp:
		return false
	}
	return k.isKeyword()
}

// startsPrimary reports whether a primary expression can begin with k.
func (k kind) startsPrimary() bool {
	switch k {
	case tIdent, tString, tStrStart, tInt, tDecimal, tLParen, tLBrack, tLBrace, kNew, kThis, kSuper, kTrue, kFalse, kNull:
		return true
	}
	return k.isBuiltin()
}

// startsExpression reports whether an expression can begin with k.
func (k kind) startsExpression() bool {
	switch k {
	case tNot, tTilde, tInc, tDec, tPlus, tMinus:
		return true
	}
	return k.startsPrimary()
}

// mark is a place in compact form.
type mark struct{ off, line, col int32 }

func (m mark) pos() Pos { return Pos{Offset: int(m.off), Line: int(m.line), Col: int(m.col)} }

// token is one token. What it says (value of a string, message of an error) is text; for other kinds text is empty and the
// source between start and end says it.
type token struct {
	kind       kind
	start, end mark
	text       string
}
