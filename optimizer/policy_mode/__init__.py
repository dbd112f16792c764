"""Policy-mode distributionally robust dispatch: one paper, read from ``dispatch`` down."""
