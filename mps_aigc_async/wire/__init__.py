"""How the services are spoken: values in, values out. No socket, clock, disk or asyncio below this folder."""
