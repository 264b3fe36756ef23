"""From everybody's annotations to one evidence: votes by a policy, and people's decisions over them."""
