"""Nothing here needs ultralytics; the tests skip by themselves without it."""
