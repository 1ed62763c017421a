"""Was this classifier trained on my pictures? The paper's rule, a panel of references, and the exact way: tags."""
