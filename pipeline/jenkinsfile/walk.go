package jenkinsfile

import "reflect"

// Walk calls f for a node and, when f returned true, for every node inside of it, in the order of the source.
func Walk(n Node, f func(Node) bool) {
	if n == nil || reflect.ValueOf(n).Kind() == reflect.Pointer && reflect.ValueOf(n).IsNil() {
		return
	}
	if !f(n) {
		return
	}
	walkNode(n, f)
}

func walkAll[T Node](list []T, f func(Node) bool) {
	for _, n := range list {
		Walk(n, f)
	}
}

func walkNode(n Node, f func(Node) bool) {
	switch n := n.(type) {
	case *ExprStmt:
		Walk(n.X, f)
	case *VarDecl:
		walkAll(n.Annotations, f)
		for _, v := range n.Vars {
			Walk(v, f)
		}
		walkExpr(n.Init, f)
	case *Var:
		walkExpr(n.Init, f)
	case *Block:
		walkAll(n.Stmts, f)
	case *If:
		Walk(n.Cond, f)
		Walk(n.Then, f)
		walkStmt(n.Else, f)
	case *While:
		Walk(n.Cond, f)
		Walk(n.Body, f)
	case *For:
		walkAll(n.Init, f)
		walkExpr(n.Cond, f)
		walkAll(n.Post, f)
		Walk(n.Body, f)
	case *ForIn:
		Walk(n.Var, f)
		Walk(n.In, f)
		Walk(n.Body, f)
	case *Switch:
		Walk(n.Tag, f)
		walkAll(n.Cases, f)
	case *Case:
		walkExpr(n.Value, f)
		walkAll(n.Body, f)
	case *Try:
		Walk(n.Body, f)
		walkAll(n.Catches, f)
		Walk(n.Finally, f)
	case *Catch:
		Walk(n.Body, f)
	case *Throw:
		Walk(n.X, f)
	case *Return:
		walkExpr(n.X, f)
	case *Assert:
		Walk(n.Cond, f)
		walkExpr(n.Message, f)
	case *Synchronized:
		Walk(n.Lock, f)
		Walk(n.Body, f)
	case *MethodDecl:
		walkAll(n.Annotations, f)
		walkAll(n.Params, f)
		Walk(n.Body, f)
	case *Param:
		walkExpr(n.Default, f)
	case *ClassDecl:
		walkAll(n.Constants, f)
		walkAll(n.Members, f)
	case *EnumConst:
		walkAll(n.Args, f)
		walkAll(n.Body, f)
	case *Annotation:
		walkAll(n.Args, f)
	default:
		walkExprNode(n, f)
	}
}

func walkExpr(x Expr, f func(Node) bool) {
	if x != nil {
		Walk(x, f)
	}
}

func walkStmt(s Stmt, f func(Node) bool) {
	if s != nil {
		Walk(s, f)
	}
}

func walkExprNode(n Node, f func(Node) bool) {
	switch n := n.(type) {
	case *NamedArg:
		walkExpr(n.Key, f)
		Walk(n.Value, f)
	case *GString:
		walkAll(n.Exprs, f)
	case *Property:
		Walk(n.X, f)
		Walk(n.Name, f)
	case *Index:
		Walk(n.X, f)
		walkAll(n.Args, f)
	case *Call:
		walkExpr(n.Recv, f)
		walkExpr(n.Name, f)
		walkAll(n.Named, f)
		walkAll(n.Args, f)
	case *Spread:
		Walk(n.X, f)
	case *New:
		walkAll(n.Named, f)
		walkAll(n.Args, f)
		walkAll(n.Dims, f)
		walkAll(n.Body, f)
	case *Unary:
		Walk(n.X, f)
	case *Binary:
		Walk(n.X, f)
		Walk(n.Y, f)
	case *Assign:
		Walk(n.X, f)
		Walk(n.Y, f)
	case *InstanceOf:
		Walk(n.X, f)
	case *Cast:
		Walk(n.X, f)
	case *As:
		Walk(n.X, f)
	case *Ternary:
		Walk(n.Cond, f)
		walkExpr(n.Then, f)
		Walk(n.Else, f)
	case *List:
		walkAll(n.Elems, f)
	case *Map:
		walkAll(n.Entries, f)
	case *Closure:
		walkAll(n.Params, f)
		Walk(n.Body, f)
	case *Paren:
		Walk(n.X, f)
	}
}
