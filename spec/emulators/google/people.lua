return { routes = {} }
