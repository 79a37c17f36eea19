from slmc_runtime.main import main

main()
